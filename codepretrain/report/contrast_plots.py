"""The figures of registered contrasts: a forest plot, and the scores of a trend over its arms."""

from collections.abc import Iterator, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from codepretrain.report.arms import mean_over_replicates
from codepretrain.report.contrast_result import ContrastResult
from codepretrain.report.contrast_rows import unit_text
from codepretrain.report.figure_style import (
    FAINT,
    INK,
    PIXEL,
    RC_PARAMS,
    VARIANT_COLORS,
    svg_element,
)
from codepretrain.report.wording import direction_text, scale_of

_COLOR = VARIANT_COLORS[1]
_PUBLISHED = VARIANT_COLORS[2]
_ROW = 46  # pixels of a contrast


def forest_figure(results: Sequence[ContrastResult], *, name: str = "contrasts") -> str:
    """Draws the contrasts that have a value: a panel per unit, a line per contrast.

    Dots are single runs: of the first arm minus the mean of the second, and above them of the
    second's mean minus its runs. Returns "" if there is nothing to draw.
    """
    panels: dict[str, list[ContrastResult]] = {}
    for one in results:
        if one.row is not None and not one.missing:
            what = "difference" if one.config.variants else "weighted sum of scores"
            title = f"{what} in {unit_text(one.row)}, {direction_text(one.row)}"
            panels.setdefault(title, []).append(one)
    if not panels:
        return ""
    heights = [_ROW * len(of) for of in panels.values()]
    with matplotlib.rc_context({**RC_PARAMS, "axes.grid.axis": "x"}):
        size = (1000 * PIXEL, (sum(heights) + 66 * len(heights)) * PIXEL)
        figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(hspace=0.06))
        axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
        for panel, (title, of) in zip(axes, panels.items(), strict=True):
            _draw_forest(panel, of)
            panel.set_xlabel(title)
        return svg_element(figure, name=name)


def _draw_forest(axes: Axes, results: Sequence[ContrastResult]) -> None:
    axes.axvline(0, color=INK, linewidth=0.9)
    for place, one in enumerate(results):
        assert one.row is not None
        scale, _ = scale_of(one.row)
        if one.config.margin is not None:
            half = scale * one.config.margin
            axes.fill_betweenx(
                [place - 0.42, place + 0.42], -half, half, color=FAINT, alpha=0.35, linewidth=0
            )
        ends = [scale * one.interval.low, scale * one.interval.high]
        if np.isfinite(ends).all():
            style = "-" if one.between.are_recipes else (0, (3, 2))
            axes.plot(ends, [place, place], color=_COLOR, linewidth=2.2, linestyle=style)
        is_decided = one.decision in ("confirmed", "opposite", "equivalent")
        axes.plot(
            scale * one.value,
            place,
            color=_COLOR,
            marker="s",
            markersize=7,
            markerfacecolor=_COLOR if is_decided else "#ffffff",
        )
        for above, values in enumerate(seed_differences(one)):
            axes.plot(
                [scale * value for value in values],
                [place + (0.24, -0.24)[above]] * len(values),
                color=_COLOR,
                linestyle="none",
                marker="o",
                markersize=3.5,
                alpha=0.75,
            )
        if one.config.published_effect is not None:
            at = scale * one.config.published_effect
            axes.plot(at, place, color=_PUBLISHED, marker="D", markersize=5)
    axes.set_yticks(range(len(results)), [one.name.replace("_", " ") for one in results])
    axes.set_ylim(len(results) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def seed_differences(one: ContrastResult) -> Iterator[list[float]]:
    """Yields what single runs make of a difference, the other arm's mean held; pairs as pairs.

    Nothing for arms of single runs or for contrasts of several arms.
    """
    if not one.config.variants or max(len(arm.runs) for arm in one.arms) == 1:
        return
    ours, baseline = (np.array(arm.values) for arm in one.arms)
    if one.config.is_paired:
        yield (ours - baseline).tolist()
        return
    yield (ours - baseline.mean()).tolist()
    yield (ours.mean() - baseline).tolist()


def is_trend(one: ContrastResult) -> bool:
    """Returns whether a contrast weighs at least three arms, each with another weight."""
    weights = list(one.config.weights.values())
    return len(weights) >= 3 and len(set(weights)) == len(weights) and not one.missing


def trend_figure(results: Sequence[ContrastResult]) -> str:
    """Draws the scores of every run over the arms of each trend; "" without trends.

    Arms are at their weights: for the weights of a dose (`inference/trend.py`) an axis of the dose.
    """
    trends = [one for one in results if is_trend(one)]
    if not trends:
        return ""
    columns = min(2, len(trends))
    rows = -(-len(trends) // columns)
    with matplotlib.rc_context(RC_PARAMS):
        size = (1000 * PIXEL, (30 + 250 * rows) * PIXEL)
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False).flat
        for axes, one in zip(panels, trends, strict=False):
            _draw_trend(axes, one)
        for axes in list(figure.axes)[len(trends) :]:
            axes.set_visible(False)
        return svg_element(figure, name="trends")


def _draw_trend(axes: Axes, one: ContrastResult) -> None:
    assert one.row is not None
    row = one.row
    scale, _ = scale_of(row)
    weights = list(one.config.weights.values())
    means = []
    for weight, arm, interval in zip(weights, one.arms, one.arm_intervals, strict=True):
        means.append(scale * mean_over_replicates(arm))
        axes.plot(
            [weight] * len(arm.values),
            [scale * value for value in arm.values],
            color=_COLOR,
            linestyle="none",
            marker="o",
            markersize=4,
            alpha=0.6,
        )
        ends = [scale * interval.low, scale * interval.high]
        if np.isfinite(ends).all():
            axes.plot([weight, weight], ends, color=_COLOR, linewidth=1.2)
    order = np.argsort(weights)
    axes.plot(np.array(weights)[order], np.array(means)[order], color=INK, linewidth=1.2)
    names = [arm.variant.replace("_", "\n") for arm in one.arms]
    axes.set_xticks(weights, names)
    axes.set_title(one.name.replace("_", " "))
    axes.set_ylabel(f"{'%' if row.is_percentage else row.unit}, {direction_text(row)}")
