import pytest

from codepretrain.errors import UserError
from codepretrain.stream.repetition import check_repetition


def check(**changes: object) -> None:
    arguments: dict = {
        "phase": "continue",
        "ordinals": {"synthetic": 400, "text": 10},
        "tokens_held": {"synthetic": 800, "text": None},
        "max_epochs": {"synthetic": 4.0, "text": 1.0},
        "max_seq_len": 8,
    }
    check_repetition(**(arguments | changes))


def test_up_to_the_cap_is_allowed() -> None:
    check()  # 3,200 of 4 × 800


def test_one_row_over_is_refused_with_what_is_missing() -> None:
    message = (
        "phase 'continue' would have read 3,208 tokens of source 'synthetic', which holds 800 "
        r"\(4.01 epochs\); its cap of 4 epochs allows 3,200, so 8 are missing: add data, lower its "
        "weight or the budget, or raise data.sources.synthetic.max_epochs"
    )
    with pytest.raises(UserError, match=message):
        check(ordinals={"synthetic": 401, "text": 10})


def test_a_fractional_cap_is_exact() -> None:
    check(ordinals={"synthetic": 110}, max_epochs={"synthetic": 1.1})  # 880 = 1.1 × 800
    with pytest.raises(UserError, match="so 8 are missing"):
        check(ordinals={"synthetic": 111}, max_epochs={"synthetic": 1.1})


def test_a_source_of_unknown_size_is_not_checked() -> None:
    check(ordinals={"text": 10**9})


def test_an_empty_source() -> None:
    with pytest.raises(UserError, match=r"holds 0 \(it is empty\)"):
        check(ordinals={"text": 1}, tokens_held={"text": 0})
    check(ordinals={"text": 0}, tokens_held={"text": 0})
