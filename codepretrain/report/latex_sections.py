"""LaTeX tables of the sections about all variants: trunks and what follows them, the front."""

from codepretrain.report.latex_text import tabular
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
    slopes = [
        (
            *(f"{table['label']} ({table['unit']})", row["trunk"], column.letter, cell["value"]),
            *(cell[key] or NOT_THERE for key in ("slope", "interval", "between")),
            *(cell[key] or NOT_THERE for key in ("against", "against_interval")),
        )
        for table in slope_tables(found)
        for row in table["rows"]
        for column, cell in zip(found.columns, row["cells"], strict=True)
        if cell is not None
    ]
    names = ("Metric", "Trunk", "Continuation", "Value", "Slope", "95% interval", "Between")
    return [
        "% what follows the trunks\n" + tabular("llrll", header, continuations),
        "% slopes from the first column of each trunk; they were not registered\n"
        + tabular("lllrrllrr", (*names, "Minus first trunk's", "95% interval"), slopes),
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
    return "% Pareto front\n" + tabular("lrrrrl", ("Variant", *header, "Place"), rows)
