"""The ladder as HTML: a figure of predicted against actual, and its tables."""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from codepretrain.report.cells import MetricRow
from codepretrain.report.figure_style import (
    FAINT,
    INK,
    MARKER_PATHS,
    PIXEL,
    RC_PARAMS,
    svg_element,
    variant_look,
    variant_style,
)
from codepretrain.report.ladder import LadderResults
from codepretrain.report.ladder_predictions import LadderPrediction
from codepretrain.report.ladder_rows import (
    choice_rows,
    metric_text,
    point_text,
    prediction_tables,
    ranking_metrics,
    ranking_rows,
)
from codepretrain.report.mixtures import Mixture, mixture_text
from codepretrain.report.templates import environment
from codepretrain.report.wording import scale_of

_MAX_METRICS = 5  # side by side
_MARGIN = 0.08  # of a panel, around its points


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
        "variants": list(map(mixture_text, _mixtures(found))),
        "variant_look": variant_look,
        "marker_paths": MARKER_PATHS,
        "prediction_tables": prediction_tables(found),
        "ranking_blocks": _ranking_blocks(found),
        "choice_rows": choice_rows(found),
        "notes": [*ladder.notes, *found.problems],
    }
    return Markup(environment().get_template("page_ladder.html").render(values))


def _ranking_blocks(found: LadderResults) -> list[tuple[list[str], list[tuple[str, Any]]]]:
    """Returns (metrics, (point, its cells)), as many metrics side by side as a page is wide."""
    metrics = [metric_text(found, row) for row in ranking_metrics(found)]
    rows = ranking_rows(found)
    return [
        (
            metrics[start : start + _MAX_METRICS],
            [(row.point, row.cells[start : start + _MAX_METRICS]) for row in rows],
        )
        for start in range(0, len(metrics), _MAX_METRICS)
    ]


def _mixtures(found: LadderResults) -> list[Mixture]:
    """Returns the mixtures that are predicted, in the order of their colors."""
    return list(dict.fromkeys(one.mixture for one in found.predictions))


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
    mixtures = _mixtures(found)
    with matplotlib.rc_context({**RC_PARAMS, "axes.grid.axis": "both"}):
        size = (1000 * PIXEL, (30 + 300 * lines) * PIXEL)
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(lines, columns, squeeze=False).flat
        for axes, (row, of) in zip(panels, by_row.items(), strict=False):
            for one in of:
                _draw(axes, one, variant_style(mixtures.index(one.mixture)))
            _draw_diagonal(axes, of)
            axes.set_title(metric_text(found, row))
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


def _draw_diagonal(axes: Axes, of: Sequence[LadderPrediction]) -> None:
    """Draws the line of agreement over the range of the points; wider intervals are cut."""
    scale, _ = scale_of(of[0].row)
    pairs = [(one.actual, one.predicted) for one in of] + [p for one in of for p in one.left_out]
    values = scale * np.array(pairs)
    values = values[np.isfinite(values)]
    span = float(np.ptp(values)) or 1.0
    low, high = values.min() - _MARGIN * span, values.max() + _MARGIN * span
    axes.plot([low, high], [low, high], color=FAINT, linewidth=1, zorder=0)
    axes.set(xlim=(low, high), ylim=(low, high))
