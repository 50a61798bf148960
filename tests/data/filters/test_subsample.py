import pytest

from codepretrain.data.filters.subsample import Subsample
from tests.data.filters.documents import document


def kept(share: float) -> set[str]:
    made = Subsample(share=share)
    names = {f"file-{number}" for number in range(4000)}
    return {name for name in names if made.reason(document("x", id=name)) is None}


def test_a_share_of_the_documents_is_kept_and_a_smaller_share_is_part_of_it() -> None:
    assert len(kept(0.25)) == pytest.approx(1000, abs=110)  # four standard deviations
    assert kept(0.1) < kept(0.25)
    assert len(kept(1.0)) == 4000
    assert not kept(0.0)


def test_the_text_does_not_decide() -> None:
    made = Subsample(share=0.5)
    assert made.reason(document("a", id="1")) == made.reason(document("b", id="1"))
