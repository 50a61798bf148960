"""Filters by name (`codepretrain/data/filters/__init__.py`), and what holds for all of them."""

import pickle

import pytest

from codepretrain.data.filters import FILTERS, STARCODER_FILTERS, STUDY_FILTERS, make_filter
from codepretrain.data.filters.filter import Filter
from codepretrain.errors import UserError
from tests.data.filters.documents import document, reason


def test_unknown_filters_and_options_are_named_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"c.filters: no filter named 'licences'; did you mean lic"):
        make_filter("licences", {}, path="c.filters")
    with pytest.raises(UserError, match=r"c.options.max_literal: no such field; did you"):
        make_filter("float_literals", {"max_literal": 1}, path="c")
    with pytest.raises(UserError, match=r"c.options.max_literals: expected a whole number"):
        make_filter("float_literals", {"max_literals": "many"}, path="c")


def test_the_presets_are_filters() -> None:
    assert {*STUDY_FILTERS, *STARCODER_FILTERS} <= FILTERS.keys()


@pytest.mark.parametrize("name", FILTERS)
def test_every_filter_is_a_pure_function_that_can_be_sent_to_processes(name: str) -> None:
    made = make_filter(name, {}, path="c")
    assert pickle.loads(pickle.dumps(made)) == made
    for text in ("", " \n", "\0", "x" * 5000, "<" * 500, "é漢\n" * 300, "a@b.cd 0x1"):
        one = document(text, "HTML")
        if isinstance(made, Filter):
            assert made.reason(one) == made.reason(one)
        else:
            changed, counts = made.redact(one)
            assert made.redact(changed) == (changed, {}), "what was redacted is not redacted again"
            assert (changed == one) == (not counts)


def test_languages() -> None:
    assert reason("hexadecimal_prefix", "0x1", "C", languages=["c", "Go"]) == "hexadecimal"
    assert reason("hexadecimal_prefix", "0x1", "Java", languages=["c", "Go"]) is None
    assert reason("hexadecimal_prefix", "0x1", None, languages=["c"]) is None
    assert reason("hexadecimal_prefix", "0x1", None, except_languages=["c"]) == "hexadecimal"
    assert reason("hexadecimal_prefix", "0x1", "C", except_languages=["c"]) is None
