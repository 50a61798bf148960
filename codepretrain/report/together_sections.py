"""Sections that are about several studies at once, such as a prediction of one from the others.

A section is a function of all studies in the order in which they were given: their contents, which
hold results, comparisons, averages and decided contrasts. It returns None where there is nothing to
show.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from rich.console import Console

from codepretrain.evals.progress import Progress, no_progress
from codepretrain.report.ladder import climb
from codepretrain.report.ladder_exports import ladder_latex, print_ladder
from codepretrain.report.ladder_view import ladder_html
from codepretrain.report.together import Together


@dataclass(frozen=True)
class Section:
    """One section in every form of the report.

    Attributes:
      numbers: values that JSON has.
      latex: tables.
      show: prints it; the second argument is the width.
    """

    html: Markup
    numbers: Any
    latex: str
    show: Callable[[Console, int], None]


NO_SECTIONS: Mapping[str, Section] = {}


def _ladder(together: Together, progress: Progress) -> Section | None:
    """Returns what the small models of the studies predict of the largest."""
    found = climb(list(together.contents.values()), progress)
    if found is None:
        return None
    return Section(
        html=ladder_html(found),
        numbers=found.to_json(),
        latex=ladder_latex(found),
        show=lambda console, width: print_ladder(console, found, width=width),
    )


SECTIONS: Mapping[str, Callable[[Together, Progress], Section | None]] = {"ladder": _ladder}


def sections_of(together: Together, progress: Progress = no_progress) -> dict[str, Section]:
    """Returns the sections that have something to show, by their names in `results.json`."""
    found = {name: make(together, progress) for name, make in SECTIONS.items()}
    return {name: section for name, section in found.items() if section is not None}
