"""The figure of trunks × continuations: a panel per metric, a line per trunk."""

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from codepretrain.report.cells import MetricRow
from codepretrain.report.figure_style import PIXEL, RC_PARAMS, svg_element, variant_style
from codepretrain.report.trunks import Slopes, Trunks
from codepretrain.report.wording import direction_text, scale_of, short_label

_SPREAD = 0.34  # of a column, over which the trunks are placed side by side


def slope_figure(found: Trunks) -> str:
    """Draws the score after each continuation: means with intervals, and a dot per run."""
    num_columns = min(3, len(found.slopes))
    num_rows = -(-len(found.slopes) // num_columns)
    rows = [of.row for of in found.slopes]
    with matplotlib.rc_context(RC_PARAMS):
        size = (1000 * PIXEL, (30 + 250 * num_rows) * PIXEL)
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(num_rows, num_columns, squeeze=False).flat
        for axes, of in zip(panels, found.slopes, strict=False):
            _draw(axes, found, of)
            axes.set_title(short_label(of.row, rows))
        for axes in list(figure.axes)[len(found.slopes) :]:
            axes.set_visible(False)
        return svg_element(figure, name="trunks")


def _draw(axes: Axes, found: Trunks, of: Slopes) -> None:
    letters = [one.letter for one in found.columns]
    count = len(found.trunks)
    for index, trunk in enumerate(found.trunks):
        shift = _SPREAD * ((index + 0.5) / count - 0.5) if count > 1 else 0.0
        points = [point for point in of.points if point.trunk == trunk.name]
        places = [letters.index(point.letter) + shift for point in points]
        style = variant_style(index)
        scale, _ = scale_of(of.row)
        axes.plot(places, [scale * p.cell.metric.value for p in points], markersize=6, **style)
        for place, point in zip(places, points, strict=True):
            ends = [scale * point.cell.interval.low, scale * point.cell.interval.high]
            if np.isfinite(ends).all():
                axes.plot([place, place], ends, color=style["color"], linewidth=1.2)
            axes.plot(
                [place] * len(point.cell.values),
                [scale * value for value in point.cell.values],
                color=style["color"],
                linestyle="none",
                marker="o",
                markersize=3,
                alpha=0.6,
            )
    axes.set_xticks(range(len(letters)), letters)
    axes.set_xlim(-0.4, len(letters) - 0.6)
    axes.set_ylabel(_unit(of.row))


def _unit(row: MetricRow) -> str:
    return f"{'%' if row.is_percentage else row.unit}, {direction_text(row)}"
