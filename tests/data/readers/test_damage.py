import pytest

from codepretrain.data.readers.damage import check_damage, is_damage
from codepretrain.errors import UserError

SKIPPED = {"not JSON": 30, "no field 'text'": 20, "language is not chosen": 900}
EXAMPLES = {"not JSON": "a.jsonl:3", "no field 'text'": "b.jsonl:1"}


def check(max_share: float, num_records: int = 1000, skipped=SKIPPED) -> None:
    check_damage(
        "code", max_share=max_share, num_records=num_records, skipped=skipped, examples=EXAMPLES
    )


def test_a_source_is_refused_above_the_share_and_not_at_it() -> None:
    check(0.05)
    with pytest.raises(UserError) as caught:
        check(0.0499)
    assert str(caught.value) == (
        "config.data.sources.code: 50 of 1,000 raw records are damaged, expected at most 0.0499 of "
        "them: 30 (not JSON; the first: a.jsonl:3); 20 (no field 'text'; the first: b.jsonl:1); "
        "mend the files, correct the reader's options, or set "
        "config.data.sources.code.options.max_damaged_share"
    )


def test_all_or_nothing() -> None:
    check(1.0, num_records=950)
    check(0.0, skipped={"language is not chosen": 5, "exact duplicates": 2})
    check(0.0, num_records=0, skipped={})
    with pytest.raises(UserError, match="1 of 1 raw records are damaged"):
        check(0.0, num_records=1, skipped={"damaged row group": 1})


@pytest.mark.parametrize(
    "reason",
    [
        *("language is not chosen", "set RedPajamaGithub is left out", "pull request", "merge"),
        *("binary", "exact duplicates", "shorter than min_document_bytes", "excluded prompt"),
        *("contains a rendering marker", "commit without a message", "not verified: wrong"),
        *("question without answers", "neither question nor answer", "generated"),
    ],
)
def test_what_is_left_out_by_choice_is_not_damaged(reason: str) -> None:
    assert not is_damage(reason)
