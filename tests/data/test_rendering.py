import doctest

import pytest

from codepretrain.data import rendering
from codepretrain.data.rendering import MARKERS, Comment, has_marker, render_issue


def test_the_documented_examples() -> None:
    failures, attempted = doctest.testmod(rendering)
    assert (failures, attempted) == (0, 5)


@pytest.mark.parametrize("marker", MARKERS)
def test_every_marker_is_found_in_a_part(marker: str) -> None:
    assert has_marker(["x", f"a{marker}b"])
    assert not has_marker(["x", marker[:-1], "<b>"])


def test_names_of_authors_within_other_words_are_kept() -> None:
    comments = [Comment("al", "also, al: (al)."), Comment("x.y", "xzy x.y al-x"), Comment("", "z")]
    assert render_issue("al", comments, is_closed=False) == (
        "<issue_start>Title: username_0\nusername_0: also, username_0: (username_0)."
        "<issue_comment>username_1: xzy username_1 al-x<issue_comment>username_2: z"
    )
