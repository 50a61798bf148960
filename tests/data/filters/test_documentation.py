"""The tables in `docs/filters.md` and `docs/readers.md` list every option with its default."""

import ast
import dataclasses
from pathlib import Path
from typing import Any

import pytest

from codepretrain.data.filters import FILTERS
from codepretrain.data.filters.filter import Languages
from codepretrain.data.readers import READERS
from codepretrain.data.readers.reader import Reader

DOCS = Path(__file__).parents[3] / "docs"
REQUIRED = "required"


def table(page: str, *, first: str, option: int, default: int) -> dict[str, dict[str, str]]:
    """Returns name → option → default of the tables whose first column is called `first`."""
    found: dict[str, dict[str, str]] = {}
    name, is_inside = "", False
    for line in (DOCS / page).read_text().splitlines():
        cells = [cell.strip().strip("`") for cell in line.strip()[1:-1].split("|")]
        if not line.startswith("|"):
            is_inside = False
        elif cells[0] == first and "option" in cells:
            is_inside = True
        elif is_inside and not line.startswith("|---"):
            name = cells[0] or name
            options = found.setdefault(name, {})
            if len(cells) > default and cells[option]:
                options[cells[option]] = cells[default]
    return found


def own_options(made: type, base: type) -> dict[str, Any]:
    """Returns a dataclass's fields that its base has not, with their defaults."""
    inherited = {field.name for field in dataclasses.fields(base)}
    fields = [field for field in dataclasses.fields(made) if field.name not in inherited]
    return {field.name: field.default for field in fields}


def test_every_filter_and_reader_is_listed() -> None:
    assert {*table("filters.md", first="filter", option=2, default=3)} == {*FILTERS}
    assert {*table("readers.md", first="reader", option=1, default=2)} == {*READERS}


@pytest.mark.parametrize("name", FILTERS)
def test_options_of_a_filter(name: str) -> None:
    documented = table("filters.md", first="filter", option=2, default=3)[name]
    options = own_options(FILTERS[name], Languages)
    assert documented.keys() == options.keys()
    in_words = {"allowed", "long_line_languages"}
    for option in options.keys() - in_words:
        assert ast.literal_eval(documented[option]) == options[option], option


@pytest.mark.parametrize("name", READERS)
def test_options_of_a_reader(name: str) -> None:
    documented = table("readers.md", first="reader", option=1, default=2)[name]
    options = own_options(READERS[name], Reader)
    options.pop("path", None)
    assert documented.keys() == options.keys()
    for option, default in options.items():
        if default is dataclasses.MISSING:
            assert documented[option] == REQUIRED
        else:
            assert ast.literal_eval(documented[option]) == default, option
