"""The Pareto plot and its table."""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from codepretrain.report.figure_style import FAINT, PIXEL, RC_PARAMS, svg_element, variant_style
from codepretrain.report.pareto import Pareto, ParetoPoint
from codepretrain.report.wording import (
    direction_text,
    interval_text,
    scale_of,
    short_label,
    value_text,
)


def pareto_rows(found: Pareto) -> list[dict[str, Any]]:
    """Returns a row per variant: both values with their intervals, and its place."""
    return [
        {
            "variant": point.variant,
            "others": ", ".join(point.others),
            "cells": [
                (value_text(row, cell.metric.value), interval_text(row, cell.interval))
                for row, cell in zip(found.rows, point.cells, strict=True)
            ],
            "place": place_text(point),
            "is_on_front": point.is_on_front,
        }
        for point in found.points
    ]


def place_text(point: ParetoPoint) -> str:
    """Returns "on the front", or what is ahead of it and how surely."""
    if point.is_on_front:
        return "on the front"
    leads = sorted((lead for lead in point.leads if lead.is_found), key=lambda one: one.adjusted_p)
    if not leads:
        return "not distinguishable from the front"
    first = leads[0]
    p = f"{first.adjusted_p:.2g}" if first.adjusted_p >= 1e-4 else "< 0.0001"
    p = p if p.startswith("<") else f"= {p}"
    more = f" and {len(leads) - 1} more" if len(leads) > 1 else ""
    return f"behind {first.variant}{more} on both, p {p} ({first.between.text})"


def axis_labels(found: Pareto) -> list[str]:
    """Returns the names of the two metrics."""
    return [short_label(row, found.rows) for row in found.rows]


def pareto_figure(found: Pareto, variants: Sequence[str]) -> str:
    """Draws the two metrics so that better is to the right and up.

    Args:
      variants: all of the study, whose order decides colors and markers.
    """
    with matplotlib.rc_context({**RC_PARAMS, "axes.grid.axis": "both"}):
        figure = Figure(figsize=(1000 * PIXEL, 560 * PIXEL), layout="constrained")
        axes = figure.subplots()
        scales = [scale_of(row)[0] for row in found.rows]
        _draw_front(axes, found, scales)
        for point in found.points:
            _draw_point(axes, point, scales, variant_style(variants.index(point.variant)))
        for row, name, axis in zip(
            found.rows, axis_labels(found), (axes.xaxis, axes.yaxis), strict=True
        ):
            unit = "%" if row.is_percentage else row.unit
            axis.set_label_text(f"{name}, {unit}, {direction_text(row)}")
            axis.set_inverted(row.direction == "lower")
        return svg_element(figure, name="pareto")


def _draw_point(
    axes: Axes, point: ParetoPoint, scales: Sequence[float], style: dict[str, object]
) -> None:
    color = style["color"]
    x, y = (s * cell.metric.value for s, cell in zip(scales, point.cells, strict=True))
    (x_low, x_high), (y_low, y_high) = (
        (s * cell.interval.low, s * cell.interval.high)
        for s, cell in zip(scales, point.cells, strict=True)
    )
    if np.isfinite([x_low, x_high]).all():
        axes.plot([x_low, x_high], [y, y], color=color, linewidth=1.2)
    if np.isfinite([y_low, y_high]).all():
        axes.plot([x, x], [y_low, y_high], color=color, linewidth=1.2)
    runs = [[s * v for v in cell.values] for s, cell in zip(scales, point.cells, strict=True)]
    if len(runs[0]) == len(runs[1]) > 1:
        axes.plot(*runs, color=color, linestyle="none", marker="o", markersize=3, alpha=0.6)
    axes.plot(
        x,
        y,
        color=color,
        marker=style["marker"],
        markersize=9,
        markerfacecolor=color if point.is_on_front else "#ffffff",
    )


def _draw_front(axes: Axes, found: Pareto, scales: Sequence[float]) -> None:
    """Draws the stairs through the front: what is to the right and above of it is not reached."""
    points = sorted(
        [s * cell.metric.value for s, cell in zip(scales, point.cells, strict=True)]
        for point in found.points
        if point.is_on_front
    )
    x, y = zip(*points, strict=True)
    # Between two points at the height of the one that is better on the first metric.
    is_ascending = found.rows[0].direction == "higher"
    axes.step(x, y, where="pre" if is_ascending else "post", color=FAINT, linewidth=1.4, zorder=0)
