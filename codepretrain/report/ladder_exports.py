"""The ladder in LaTeX and in the terminal."""

import math

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from codepretrain.report.cells import MetricRow
from codepretrain.report.ladder import LadderResults
from codepretrain.report.ladder_rows import (
    choice_rows,
    metric_text,
    point_text,
    prediction_tables,
    ranking_metrics,
    ranking_rows,
)
from codepretrain.report.latex_text import Row
from codepretrain.report.latex_text import table as latex_table
from codepretrain.report.wording import NOT_THERE, number, scale_of, signed


def ladder_latex(found: LadderResults) -> str:
    """Returns tables of mixtures, predictions, decision accuracy, and of the mixtures chosen."""
    tables = [_mixtures(found), _predictions(found), _rankings(found), _choices(found)]
    return "\n\n".join(filter(None, tables))


def _mixtures(found: LadderResults) -> str:
    named = [(row.variant, row.mixture) for of in prediction_tables(found) for row in of.rows]
    rows = list(dict.fromkeys(named))
    return latex_table("Mixtures of the ladder", "ll", ("Variant", "Mixture"), rows)


def _predictions(found: LadderResults) -> str:
    rows: list[Row] = []
    for table in prediction_tables(found):
        rows.append(f"{table.metric} ({table.unit})")
        rows += [
            (
                *(row.variant, row.num_runs, row.predicted or row.missing, row.interval),
                *(row.actual, row.actual_interval, row.error, row.left_out),
            )
            for row in table.rows
        ]
    header = (
        *("Variant", "Runs", "Predicted", "95% interval", "Actual", "95% interval"),
        *("Error", "Left out"),
    )
    caption = f"The ladder: predicted at {point_text(found.ladder.target)}, and measured there"
    return latex_table(caption, "lrrrrrrr", header, rows)


def _rankings(found: LadderResults) -> str:
    of_points = ranking_rows(found)
    rows: list[Row] = []
    for place, metric in enumerate(ranking_metrics(found)):
        rows.append(metric_text(found, metric))
        rows += [
            (row.point, *(text for of in cell for text in (of.share, of.interval, of.pairs)))
            for row in of_points
            if (cell := row.cells[place]) is not None
        ]
    header = (
        *("Point", "All pairs", "95% interval", "Pairs"),
        *("Distinguishable pairs", "95% interval", "Pairs"),
    )
    caption = "Decision accuracy: pairs of mixtures ordered as at the target"
    return latex_table(caption, "lrrrrrr", header, rows)


def _choices(found: LadderResults) -> str:
    rows: list[Row] = []
    for row in choice_rows(found):
        correlations = ", ".join(f"{name} {value}" for name, value in row.correlations)
        known = [
            f"{row.point}: {row.mixture or row.missing}",
            row.at_target and f"at the target, {row.at_target}",
            correlations and f"rank correlation of mixtures left out: {correlations}",
        ]
        values = (row.predicted, row.natural, row.uniform, row.gain)
        rows += [
            "; ".join(filter(None, known)),
            (row.num_mixtures, *(value or NOT_THERE for value in values)),
        ]
    header = ("Mixtures", "Predicted", "Natural", "Uniform", "Gain over natural")
    return latex_table("Mixtures chosen", "rrrrr", header, rows)


def print_ladder(console: Console, found: LadderResults, *, width: int) -> None:
    """Prints a line per metric and one per choice of a mixture; the page has each prediction."""
    target = point_text(found.ladder.target)
    console.print(Text(f"\nthe ladder: predicted at {target}, and measured there", style="bold"))
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for name in ("", "mixtures", "mean error", "mean |error|", "left out", "pairs ordered"):
        table.add_column(name, justify="right" if name else "left")
    for row in dict.fromkeys(one.row for one in found.predictions):
        table.add_row(*_summary(found, row))
    console.print(table, width=width)
    text = (
        "Mean error: predicted minus measured, over mixtures; left out: that of smaller runs, each "
        "predicted without its size and length. Pairs ordered: share of the pairs of mixtures that "
        "the predictions order as the target does."
    )
    console.print(Text(text, style="dim"), width=width)
    for choice in choice_rows(found):
        what = f"choice {choice.mixture}" if choice.mixture else choice.missing
        line = "; ".join(filter(None, [what, choice.at_target]))
        console.print(Text(f"{choice.point}: {line}"), width=width)
    for note in [*found.ladder.notes, *found.problems]:
        console.print(Text(note, style="yellow"), soft_wrap=True)


def _summary(found: LadderResults, row: MetricRow) -> list[str]:
    scale, digits = scale_of(row)
    known = [one for one in found.predictions if one.row == row and not one.missing]
    errors = [one.error for one in known]
    left_out = [one.left_out_error for one in known if not math.isnan(one.left_out_error)]
    of_laws = [one.of_all for one in found.rankings if one.row == row and one.point is None]
    signed_error = signed(scale * float(np.mean(errors)), digits=digits) if errors else NOT_THERE
    return [
        f"{metric_text(found, row)}, {'points' if row.is_percentage else row.unit}",
        str(len(known)),
        signed_error,
        *(
            number(scale * float(np.mean(np.abs(of))), digits=digits) if of else NOT_THERE
            for of in (errors, left_out)
        ),
        *(f"{100 * one.share:.0f}%" for one in of_laws if one.num_pairs),
    ]
