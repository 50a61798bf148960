"""Filters by name (`codepretrain/data/filters/__init__.py`), and what holds for all of them."""

import pickle

import pytest

from codepretrain.config.schema import FilterConfig
from codepretrain.data.filters import (
    FILTERS,
    make_filter,
    make_filters,
)
from codepretrain.data.filters.emails import Emails
from codepretrain.data.filters.filter import Filter
from codepretrain.data.filters.generated import Generated
from codepretrain.errors import UserError
from tests.data.filters.documents import document, reason

PATH = "config.data.sources.code.filters"


def test_the_filters_of_a_source_are_made_in_order_with_their_options() -> None:
    emails = FilterConfig(name="emails", options={"placeholder": "<MAIL>"})
    generated = FilterConfig(
        name="generated", options={"phrases": ("made by",), "languages": ("C",)}
    )
    assert make_filters(PATH, [emails, generated, FilterConfig(name="emails")]) == [
        ("emails", Emails(placeholder="<MAIL>")),
        ("generated", Generated(phrases=("made by",), languages=("C",))),
        ("emails", Emails()),
    ]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("licences", {}, ".name: no filter named 'licences'; did you mean licenses?"),
        ("x" * 500, {}, ".name: no filter named 'xxxxx"),
        (
            "float_literals",
            {"max_literal": 1},
            ".options.max_literal: no such field; did you mean max_literals?",
        ),
        (
            "float_literals",
            {"max_literals": "many"},
            ".options.max_literals: expected a whole number, got str 'many'",
        ),
        (
            "line_lengths",
            {"languages": "java"},
            ".options.languages: expected a list, got str 'java'",
        ),
        ("generated", {"phrases": (1,)}, ".options.phrases[0]: expected text, got int 1"),
    ],
)
def test_an_unknown_name_or_option_and_a_wrong_type_are_named(
    name: str, options: dict, message: str
) -> None:
    configs = [FilterConfig(name="emails"), FilterConfig(name=name, options=options)]
    with pytest.raises(UserError) as raised:
        make_filters(PATH, configs)
    assert str(raised.value).startswith(f"{PATH}[1]{message}")


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
    assert reason("hexadecimal_prefix", "0x1", "c-sharp", languages=["C#"]) == "hexadecimal"
    assert reason("hexadecimal_prefix", "0x1", "cpp", languages=["C++"]) == "hexadecimal"


def test_default_languages_are_found_as_readers_spell_them() -> None:
    table = "1 " * 60 + "\n"
    assert reason("alphabetic_share", table, "webassembly") is None
    assert reason("alphabetic_share", table, "motorola-68k-assembly") is None
    assert reason("line_lengths", "x" * 2000, "roff-manpage") is None
    assert reason("xml_header", "<?xml version='1.0'?>", "xslt") is None
    assert reason("data_files", "{}", "json") == "data_file_short"
