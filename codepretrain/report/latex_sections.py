"""LaTeX tables of the sections about all variants: trunks and what follows them, the front."""

from typing import Any

from codepretrain.report.latex_text import Row, table
from codepretrain.report.pareto import Pareto
from codepretrain.report.pareto_view import axis_labels, pareto_rows
from codepretrain.report.trunk_rows import continuation_rows, slope_tables
from codepretrain.report.trunks import Trunks
from codepretrain.report.wording import NOT_THERE


def trunk_tables(found: Trunks) -> list[str]:
    """Returns what the continuations are, and the score and the slope of each of each trunk."""
    continuations = [
        tuple(row[key] for key in ("letter", "mixture", "tokens", "rate", "variants"))
        for row in continuation_rows(found)
    ]
    header = ("Continuation", "Mixture", "Tokens", "Learning rate", "Variants")
    slopes: list[Row] = []
    for of in slope_tables(found):
        slopes += [f"{of['label']} ({of['unit']})", *_slopes(found, of)]
    names = ("Trunk", "Continuation", "Value", "Slope", "95% interval", "Between")
    return [
        table("What follows the trunks", "llrll", header, continuations),
        table(
            "Slopes from the first continuation of each trunk; they were not registered",
            "llrrrlrr",
            (*names, "Minus first trunk's", "95% interval"),
            slopes,
            common="Between",
        ),
    ]


def _slopes(found: Trunks, of: dict[str, Any]) -> list[tuple[str, ...]]:
    return [
        (
            *(row["trunk"], column.letter, cell["value"]),
            *(cell[key] or NOT_THERE for key in ("slope", "interval", "between")),
            *(cell[key] or NOT_THERE for key in ("against", "against_interval")),
        )
        for row in of["rows"]
        for column, cell in zip(found.columns, row["cells"], strict=True)
        if cell is not None
    ]


def pareto_table(found: Pareto) -> str:
    """Returns both metrics of every variant, and its place."""
    rows = [
        (
            ", ".join(filter(None, [row["variant"], row["others"]])),
            *(text for cell in row["cells"] for text in cell),
            row["place"],
        )
        for row in pareto_rows(found)
    ]
    header = [text for name in axis_labels(found) for text in (name, "95% interval")]
    return table("Pareto front", "lrrrrl", ("Variant", *header, "Place"), rows)
