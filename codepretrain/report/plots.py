"""The report's figures: differences, held-out loss, and the path of each variant."""

import math
from collections.abc import Iterable, Mapping, Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, MaxNLocator

from codepretrain.report.cells import MetricRow
from codepretrain.report.collect import StudyResults
from codepretrain.report.compare import Comparison
from codepretrain.report.curves import Curve, loss_curves, loss_metrics, spans, training_curve
from codepretrain.report.figure_style import (
    FAINT,
    INK,
    MARKERS,
    PIXEL,
    RC_PARAMS,
    SOURCE_COLORS,
    svg_element,
    variant_style,
)
from codepretrain.report.wording import (
    difference_unit,
    direction_text,
    label,
    rate_text,
    tick_text,
)

_POINTS = 1_000  # of a learning-rate curve


def difference_figure(comparison: Comparison) -> str:
    """Draws the differences from the baseline: a panel per unit, a line per metric.

    Returns "" if there is nothing to compare.
    """
    panels_of: dict[str, list[MetricRow]] = {}
    for row in comparison.headline_rows:
        if any(_compared(comparison, row, variant) for variant in comparison.variants):
            unit = f"difference from {comparison.baseline} in {difference_unit(row)}"
            panels_of.setdefault(f"{unit}, {direction_text(row)}", []).append(row)
    if not panels_of:
        return ""
    others = [v for v in comparison.variants if v != comparison.baseline]
    heights = [len(rows) * (14 + 12 * len(others)) for rows in panels_of.values()]
    with matplotlib.rc_context({**RC_PARAMS, "axes.grid.axis": "x"}):
        size = (1000 * PIXEL, (sum(heights) + 76 * len(heights)) * PIXEL)
        figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(hspace=0.06))
        panels = figure.subplots(len(panels_of), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axes, (title, rows) in zip(panels, panels_of.items(), strict=True):
            _draw_differences(axes, comparison, rows)
            axes.set_xlabel(title)
        return svg_element(figure, name="differences")


def loss_figure(results: StudyResults) -> str:
    """Draws held-out loss over tokens: a panel per source, a line per variant.

    Other replicates of a variant are thin lines.

    Returns "" if no loss was measured.
    """
    units = {source: unit for source, (_, _, unit) in loss_metrics(results).items()}
    if not units:
        return ""
    curves = {variant: loss_curves(results, variant) for variant in results.spec.variants}
    end = _longest_path(results)
    num_columns = min(3, len(units))
    num_rows = -(-len(units) // num_columns)
    with matplotlib.rc_context(RC_PARAMS):
        figure = Figure(figsize=(1000 * PIXEL, (40 + 230 * num_rows) * PIXEL), layout="constrained")
        panels = figure.subplots(num_rows, num_columns, squeeze=False, sharex=True).flat
        for axes, (source, unit) in zip(panels, units.items(), strict=False):
            first = {v: of[source] for v, of in curves.items() if source in of}
            drawn = list(first.values())
            for variant, curve in first.items():
                style = variant_style(list(curves).index(variant))
                axes.plot(curve.tokens, curve.values, **style)
                for replicate in range(1, len(results.replicates(variant))):
                    other = loss_curves(results, variant, replicate).get(source)
                    if other is not None:
                        thin = {"color": style["color"], "linewidth": 0.7, "markersize": 2}
                        axes.plot(other.tokens, other.values, marker="o", **thin)
                        drawn.append(other)
            axes.set_ylim(*_loss_limits(drawn, end=end))
            axes.set_title(source)
            axes.set_ylabel(unit)
            axes.yaxis.set_major_locator(MaxNLocator(5))
            _set_token_axis(axes)
        for axes in list(panels)[: num_rows * num_columns - len(units)]:
            axes.set_visible(False)
        return svg_element(figure, name="loss")


def hides_early_losses(results: StudyResults) -> bool:
    """Returns whether the figure of the held-out loss lacks points of the first tenth."""
    end = _longest_path(results)
    of_source: dict[str, list[Curve]] = {}
    for variant in results.spec.variants:
        for source, curve in loss_curves(results, variant).items():
            of_source.setdefault(source, []).append(curve)
    return any(
        tokens < 0.1 * end and value > _loss_limits(curves, end=end)[1]
        for curves in of_source.values()
        for curve in curves
        for tokens, value in zip(curve.tokens, curve.values, strict=True)
    )


def path_figures(results: StudyResults) -> dict[str, str]:
    """Draws per variant: loss per source, mixture and learning rate on one token axis."""
    units = {source: unit for source, (_, _, unit) in loss_metrics(results).items()}
    curves = {variant: loss_curves(results, variant) for variant in results.spec.variants}
    end = _longest_path(results)
    limits = _loss_limits([c for of in curves.values() for c in of.values()], end=end)
    sources = shown_sources(results)
    figures = {}
    for variant in results.spec.variants:
        with matplotlib.rc_context(RC_PARAMS):
            figure = Figure(figsize=(490 * PIXEL, 420 * PIXEL), layout="constrained")
            loss, mixture, rate = figure.subplots(3, 1, sharex=True, height_ratios=(5, 2.2, 2.2))
            _draw_source_losses(loss, curves[variant], units, sources)
            loss.set_ylim(*limits)
            _draw_mixture(mixture, results, variant, sources)
            curve = training_curve(results, variant, "learning_rate").thinned(_POINTS)
            _draw_learning_rate(rate, curve)
            _draw_phases((loss, mixture, rate), results, variant)
            rate.set_xlim(-0.01 * end, 1.01 * end)
            _set_token_axis(rate)
            figures[variant] = svg_element(figure, name=f"path-{variant}")
    return figures


def shown_sources(results: StudyResults) -> list[str]:
    """Returns the sources that a mixture reads, or of which a loss was measured.

    A study may have many more sources, for others that share its data; there are few colors.
    """
    shown = set(loss_metrics(results))
    for run in results.runs.values():
        for stage in run.plan.mixture:
            shown |= {source for source, weight in stage["weights"].items() if weight}
    return [source for source in results.spec.rows if source in shown]


def _compared(comparison: Comparison, row: MetricRow, variant: str) -> bool:
    cell = comparison.cells.get((row, variant))
    return cell is not None and cell.difference is not None


def _draw_differences(axes: Axes, comparison: Comparison, rows: Sequence[MetricRow]) -> None:
    others = [v for v in comparison.variants if v != comparison.baseline]
    axes.axvline(0, color=INK, linewidth=0.9)
    for position, row in enumerate(rows):
        for rank, variant in enumerate(others):
            cell = comparison.cells.get((row, variant))
            if cell is None or cell.difference is None:
                continue
            style = variant_style(comparison.variants.index(variant))
            scale = 100 if row.is_percentage else 1
            y = position + 0.72 * ((rank + 0.5) / len(others) - 0.5)
            ends = [scale * cell.difference.interval.low, scale * cell.difference.interval.high]
            axes.plot(ends, [y, y], color=style["color"], linewidth=2, solid_capstyle="butt")
            is_open = cell.outcome == "not distinguishable"
            axes.plot(
                scale * cell.difference.value,
                y,
                color=style["color"],
                marker=style["marker"],
                markersize=6,
                markerfacecolor="#ffffff" if is_open else style["color"],
            )
        if position:
            axes.axhline(position - 0.5, color=FAINT, linewidth=0.5, alpha=0.6)
    axes.set_yticks(range(len(rows)), [label(row, comparison.rows) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _draw_source_losses(
    axes: Axes, curves: Mapping[str, Curve], units: Mapping[str, str], sources: Sequence[str]
) -> None:
    for source, curve in curves.items():
        index = sources.index(source)
        color = SOURCE_COLORS[index % len(SOURCE_COLORS)]
        marker = MARKERS[index % len(MARKERS)]
        axes.plot(curve.tokens, curve.values, color=color, marker=marker)
    axes.set_ylabel(f"held-out loss, {next(iter(units.values()), 'nats')}")


def _longest_path(results: StudyResults) -> int:
    return max(spans(results, variant)[-1].end for variant in results.spec.variants)


def _loss_limits(curves: Iterable[Curve], *, end: int) -> tuple[float, float]:
    """Returns limits for the losses after the first tenth of the tokens; earlier ones are high."""
    points = [p for curve in curves for p in zip(curve.tokens, curve.values, strict=True)]
    late = [v for t, v in points if t >= 0.1 * end and math.isfinite(v)]
    if not late:
        return (0.0, 1.0)
    margin = 0.06 * ((max(late) - min(late)) or 1.0)
    return (min(late) - margin, max(late) + margin)


def _draw_mixture(axes: Axes, results: StudyResults, variant: str, sources: Sequence[str]) -> None:
    """Stacks each source's share; shares change in steps, so the areas have vertical edges."""
    edges: list[float] = []
    shares: list[list[float]] = [[] for _ in sources]
    for span in spans(results, variant):
        for start, stop, weights in span.mixture():
            edges += [start, stop]
            for index, source in enumerate(sources):
                shares[index] += [weights.get(source, 0.0)] * 2
    colors = [SOURCE_COLORS[i % len(SOURCE_COLORS)] for i in range(len(sources))]
    if edges:
        axes.stackplot(edges, shares, colors=colors, linewidth=0)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.5, 1], ["0", "50", "100%"])
    axes.set_ylabel("mixture")
    axes.grid(visible=False)


def _draw_learning_rate(axes: Axes, curve: Curve) -> None:
    axes.plot(curve.tokens, curve.values, color=INK, linewidth=1.4)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("learning rate")
    axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.ticklabel_format(axis="y", style="plain", useOffset=False)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda rate, _: rate_text(rate)))


def _draw_phases(panels: Iterable[Axes], results: StudyResults, variant: str) -> None:
    """Marks the boundaries between phases."""
    for axes in panels:
        for span in spans(results, variant)[1:]:
            axes.axvline(span.start, color=INK, linewidth=0.8, linestyle=(0, (3, 2)))


def _set_token_axis(axes: Axes) -> None:
    axes.set_xlabel("tokens")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda tokens, _: tick_text(tokens)))
