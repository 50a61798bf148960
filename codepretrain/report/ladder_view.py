"""The ladder as HTML: a figure of predicted against actual, and its tables."""

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from codepretrain.inference.ladder.ranking import DecisionAccuracy
from codepretrain.report.cells import MetricRow
from codepretrain.report.figure_style import (
    FAINT,
    INK,
    PIXEL,
    RC_PARAMS,
    svg_element,
    variant_style,
)
from codepretrain.report.ladder import LadderResults
from codepretrain.report.ladder_arms import Point
from codepretrain.report.ladder_mixtures import PointChoice
from codepretrain.report.ladder_predictions import LadderPrediction
from codepretrain.report.mixtures import mixture_text
from codepretrain.report.templates import environment
from codepretrain.report.wording import (
    NOT_THERE,
    interval_text,
    label,
    number,
    scale_of,
    signed,
    tokens_text,
    value_text,
)


def ladder_html(found: LadderResults) -> Markup:
    """Returns the section."""
    ladder = found.ladder
    points = [*ladder.points, ladder.target]
    values = {
        "target": point_text(ladder.target),
        "points": [
            {
                "point": point_text(point),
                "studies": ", ".join(dict.fromkeys(a.study for a in ladder.at(point).values())),
                "num_mixtures": len(ladder.at(point)),
                "is_target": point == ladder.target,
            }
            for point in points
        ],
        "figure_svg": prediction_figure(found),
        "prediction_rows": [_prediction(found, one) for one in found.predictions],
        "ranking_rows": _rankings(found),
        "choice_rows": [_choice(one) for one in found.choices],
        "notes": [*ladder.notes, *found.problems],
    }
    return Markup(environment().get_template("page_ladder.html").render(values))


def point_text(point: Point | None) -> str:
    """Returns "205M, 20B tokens"; of the laws, "predicted from all"."""
    if point is None:
        return "predicted from all"
    return f"{tokens_text(point[0])} parameters, {tokens_text(point[1])} tokens"


def prediction_figure(found: LadderResults) -> str:
    """Draws predicted against actual values: a panel per metric. "" without predictions."""
    by_row: dict[MetricRow, list[LadderPrediction]] = {}
    for one in found.predictions:
        if not one.missing:
            by_row.setdefault(one.row, []).append(one)
    if not by_row:
        return ""
    columns = min(3, len(by_row))
    lines = -(-len(by_row) // columns)
    mixtures = list(dict.fromkeys(one.mixture for one in found.predictions))
    with matplotlib.rc_context({**RC_PARAMS, "axes.grid.axis": "both"}):
        size = (1000 * PIXEL, (30 + 300 * lines) * PIXEL)
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(lines, columns, squeeze=False).flat
        for axes, (row, of) in zip(panels, by_row.items(), strict=False):
            for one in of:
                _draw(axes, one, variant_style(mixtures.index(one.mixture)))
            _draw_diagonal(axes)
            axes.set_title(label(row, found.ladder.rows))
            axes.set_xlabel(f"actual, {'%' if row.is_percentage else row.unit}")
            axes.set_ylabel("predicted")
        for axes in list(figure.axes)[len(by_row) :]:
            axes.set_visible(False)
        return svg_element(figure, name="ladder")


def _draw(axes: Axes, one: LadderPrediction, style: dict[str, object]) -> None:
    scale, _ = scale_of(one.row)
    color = style["color"]
    for actual, predicted in one.left_out:
        axes.plot(
            scale * actual, scale * predicted, color=color, marker="o", markersize=3, alpha=0.5
        )
    for interval, x_or_y in ((one.interval, "y"), (one.actual_interval, "x")):
        ends = [scale * interval.low, scale * interval.high]
        if not np.isfinite(ends).all():
            continue
        held = [scale * (one.actual if x_or_y == "y" else one.predicted)] * 2
        axes.plot(*((held, ends) if x_or_y == "y" else (ends, held)), color=color, linewidth=1.2)
    axes.plot(
        scale * one.actual,
        scale * one.predicted,
        color=color,
        marker=style["marker"],
        markersize=8,
        markeredgecolor=INK,
    )


def _draw_diagonal(axes: Axes) -> None:
    low = min(axes.get_xlim()[0], axes.get_ylim()[0])
    high = max(axes.get_xlim()[1], axes.get_ylim()[1])
    axes.plot([low, high], [low, high], color=FAINT, linewidth=1, zorder=0)


def _prediction(found: LadderResults, one: LadderPrediction) -> dict[str, str]:
    row = one.row
    scale, digits = scale_of(row)
    view = {
        "metric": label(row, found.ladder.rows),
        "unit": "%" if row.is_percentage else row.unit,
        "loss": f"over {label(one.loss, found.ladder.rows)}" if one.loss else "",
        "mixture": mixture_text(one.mixture),
        "variant": one.variant,
        "num_runs": str(one.num_runs),
        "actual": value_text(row, one.actual),
        "actual_interval": interval_text(row, one.actual_interval),
        "missing": one.missing,
    }
    if not one.missing:
        view |= {
            "predicted": value_text(row, one.predicted),
            "interval": interval_text(row, one.interval),
            "error": signed(scale * one.error, digits=digits),
            "left_out_error": number(scale * one.left_out_error, digits=digits),
        }
    return view


def _rankings(found: LadderResults) -> list[dict[str, object]]:
    return [
        {
            "metric": label(one.row, found.ladder.rows),
            "point": point_text(one.point),
            "num_mixtures": one.num_mixtures,
            "of_all": _share(one.of_all),
            "of_distinguishable": _share(one.of_distinguishable),
        }
        for one in found.rankings
    ]


def _share(one: DecisionAccuracy) -> tuple[str, str, str]:
    """Returns a share, its interval and its number of pairs."""
    if not one.num_pairs:
        return NOT_THERE, "", "0 pairs"
    low, high = (number(100 * end, digits=0) for end in (one.interval.low, one.interval.high))
    pairs = f"{one.num_pairs} pair{'s' if one.num_pairs > 1 else ''}"
    return f"{number(100 * one.share, digits=0)}%", f"{low} – {high}", pairs


def _choice(one: PointChoice) -> dict[str, object]:
    choice, rank, gain = one.choice, one.at_target, one.gain
    view: dict[str, object] = {
        "point": point_text(one.point),
        "num_mixtures": one.num_mixtures,
        "correlations": [
            (label(row, one.rows), NOT_THERE if np.isnan(c) else number(c, digits=2))
            for row, c in zip(one.rows, one.correlations, strict=False)
        ],
        "missing": one.missing,
        "at_target": "",
    }
    if rank is not None:
        view["at_target"] = (
            f"{mixture_text(rank.mixture)} is {rank.rank} of {rank.num_mixtures}, "
            f"{signed(rank.regret)} from the best"
        )
    if choice is not None and gain is not None:
        mixture = tuple(zip(one.sources, choice.mixture.tolist(), strict=True))
        view |= {
            "mixture": mixture_text(tuple(pair for pair in mixture if pair[1] >= 0.0005)),
            "predicted": number(choice.target),
            "natural": number(choice.natural_target),
            "uniform": number(choice.uniform_target),
            "gain": f"{signed(gain.value)} ({signed(gain.interval.low)} to "
            f"{signed(gain.interval.high)})",
            "is_within": one.is_within,
        }
    return view
