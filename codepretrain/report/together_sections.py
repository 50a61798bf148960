"""Sections that are about several studies at once, such as a prediction of one from the others.

A section is a function of all studies in the order in which they were given: their contents, which
hold results, comparisons, averages and decided contrasts. It returns None where there is nothing to
show.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from codepretrain.report.ladder import climb
from codepretrain.report.ladder_view import ladder_html
from codepretrain.report.together import Together


@dataclass(frozen=True)
class Section:
    """HTML, and its numbers as values that JSON has; both are of several studies."""

    html: Markup
    numbers: Any


def _ladder(together: Together) -> Section | None:
    """Returns what the small models of the studies predict of the largest."""
    found = climb(list(together.contents.values()))
    return Section(ladder_html(found), found.to_json()) if found is not None else None


SECTIONS: Mapping[str, Callable[[Together], Section | None]] = {"ladder": _ladder}


def sections_of(together: Together) -> dict[str, Section]:
    """Returns the sections that have something to show, by their names in `results.json`."""
    found = {name: make(together) for name, make in SECTIONS.items()}
    return {name: section for name, section in found.items() if section is not None}
