"""The repetition cap by hand: averages over all rows, and the most reads of any one row."""

import numpy as np
import pytest

from codepretrain.errors import UserError
from codepretrain.stream.permutation import epoch_key, permute
from codepretrain.stream.repetition import check_repetition, most_reads


def check(**changes: object) -> None:
    arguments: dict = {
        "phase": "continued",
        "draws": {"synthetic": (400,), "text": (10,)},
        "tokens_held": {"synthetic": 800, "text": None},
        "max_epochs": {"synthetic": 4.0, "text": 1.0},
        "max_seq_len": 8,
    }
    check_repetition(**(arguments | changes))


def test_up_to_the_cap_is_allowed() -> None:
    check()  # 3,200 of 4 × 800


def test_one_row_over_is_refused_with_what_is_missing() -> None:
    message = (
        "phase 'continued' would have read 3,208 tokens of source 'synthetic', which holds 800 "
        r"\(4.01 epochs\); config.data.sources.synthetic.max_epochs = 4 allows 3,200, so 8 are "
        "missing: add data, lower its weight or the budget, or raise "
        "config.data.sources.synthetic.max_epochs"
    )
    with pytest.raises(UserError, match=message):
        check(draws={"synthetic": (401,)})


def test_restarted_cursors_count_together() -> None:
    check(draws={"synthetic": (100, 100, 200)})
    with pytest.raises(UserError, match=r"3,208 tokens of source 'synthetic'"):
        check(draws={"synthetic": (100, 101, 200)})


def test_no_row_is_read_more_often_than_the_cap_rounded_up() -> None:
    """A tenth of the rows, five times: half an epoch on average."""
    message = (
        r"some rows of source 'synthetic' 5 times, because data_order='restart' reads the same "
        r"rows again; config.data.sources.synthetic.max_epochs = 4 allows 4: use "
        "data_order='continue', or raise config.data.sources.synthetic.max_epochs to 5"
    )
    with pytest.raises(UserError, match=message):
        check(draws={"synthetic": (10, 10, 10, 10, 10)})
    check(draws={"synthetic": (10, 10, 10, 10)})
    check(draws={"synthetic": (10, 10, 10, 10, 10)}, max_epochs={"synthetic": 4.5})


def test_a_fractional_cap_is_exact() -> None:
    check(draws={"synthetic": (110,)}, max_epochs={"synthetic": 1.1})  # 880 = 1.1 × 800
    with pytest.raises(UserError, match="so 8 are missing"):
        check(draws={"synthetic": (111,)}, max_epochs={"synthetic": 1.1})


def test_a_source_of_unknown_size_is_not_checked() -> None:
    check(draws={"text": (10**9,)})


def test_an_empty_source() -> None:
    with pytest.raises(UserError, match=r"holds 0 \(it is empty\)"):
        check(draws={"text": (1,)}, tokens_held={"text": 0})
    check(draws={"text": (0,)}, tokens_held={"text": 0})


def test_the_bound_on_reads_of_a_row_against_counting_them() -> None:
    """Never below the count; equal while no cursor has passed its first epoch."""
    rng = np.random.default_rng(0)
    num_rows = 30
    for _ in range(200):
        draws = rng.integers(0, 100 if rng.random() < 0.5 else num_rows + 1, rng.integers(1, 5))
        reads = np.zeros(num_rows, np.int64)
        for drawn in draws.tolist():
            for ordinal in range(drawn):
                epoch, index = divmod(ordinal, num_rows)
                key = epoch_key(0, "text", epoch)
                reads[permute(np.array([index]), num_rows=num_rows, key=key)[0]] += 1
        bound = most_reads(draws.tolist(), tokens_held=num_rows * 8, max_seq_len=8)
        assert reads.max() <= bound
        if (draws <= num_rows).all() or len(draws) == 1:
            assert reads.max() == bound
