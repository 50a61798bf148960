"""Which variants could be best, as rows of text and as lines in the terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from codepretrain.report.best import Best
from codepretrain.report.contrast_rows import unit_text
from codepretrain.report.wording import short_label

_LEAST = 0.05  # a variant is named from this probability on


def best_rows(found: Sequence[Best]) -> list[dict[str, str]]:
    """Returns a row per metric: its candidates, and how many variants are none."""
    rows = [one.row for one in found]
    labels = [short_label(row, rows) for row in rows]
    return [
        {
            "label": f"{name}, {unit_text(one.row)}" if labels.count(name) > 1 else name,
            "candidates": one.missing or _candidates(one),
            "others": _others(one),
        }
        for name, one in zip(labels, found, strict=True)
    ]


def print_best(console: Console, found: Sequence[Best], *, width: int) -> None:
    """Prints a line per metric."""
    if not found:
        return
    console.print(Text("\nwhich variant could be best", style="bold"))
    for row in best_rows(found):
        line = ", ".join(filter(None, [row["candidates"], row["others"]]))
        console.print(Text(f"{row['label']}: {line}"), width=width)


def _candidates(one: Best) -> str:
    return ", ".join(f"{v} {percent(p)}" for v, p in one.probabilities.items() if p >= _LEAST)


def _others(one: Best) -> str:
    rest = [p for p in one.probabilities.values() if p < _LEAST]
    if not rest:
        return ""
    return f"{len(rest)} {'other' if len(rest) == 1 else 'others'} {percent(sum(rest))} in all"


def percent(share: float) -> str:
    """Returns a probability from draws, which does not resolve more than half a percent."""
    if share < 0.005:
        return "< 0.5%"
    return "> 99.5%" if share > 0.995 else f"{100 * share:.0f}%"
