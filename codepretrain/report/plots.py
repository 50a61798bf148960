"""The report's figures as inline SVG that follows the page's colors and fonts.

Figures are drawn at one unit a CSS pixel. Colors that mean something (a variant, a source) and the
ink are replaced by the page's CSS variables, so a figure is legible in light, dark and print. Hues
are Okabe and Ito's and Tol's, told apart in all common color-vision deficiencies; line style and
marker say the same again.
"""

import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, MaxNLocator

from codepretrain.report.collect import StudyResults
from codepretrain.report.compare import Comparison, MetricRow
from codepretrain.report.curves import Curve, loss_curves, loss_metrics, spans, training_curve
from codepretrain.report.wording import difference_unit, label, rate_text, tokens_text

# What is drawn; the page puts the dark values in their place where the reader prefers dark.
VARIANT_COLORS = ("#4d4d4d", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
SOURCE_COLORS = (
    *("#332288", "#c59a1a", "#44aa99", "#cc6677", "#6fb7e0"),
    *("#999933", "#882255", "#117733", "#aa4499", "#8a8a92"),
)
DARK_VARIANT_COLORS = (
    *("#b8b8bf", "#4aa3e0", "#f07c2e", "#2fbf95", "#dd94bb", "#f0b429", "#8fd0f5"),
)
DARK_SOURCE_COLORS = (
    *("#8f83e0", "#d9b545", "#5cc4b4", "#e08797", "#8cc9f0"),
    *("#b5b54d", "#c05c85", "#5fae74", "#c97fc0", "#a9a9b2"),
)
INK, FAINT = "#1c1c1e", "#b5b5ba"
_STYLES = ("-", "-", (0, (6, 2)), (0, (2, 1.5)), (0, (6, 2, 1.5, 2)), "-", (0, (4, 1)))
_MARKERS = ("o", "s", "D", "^", "v", "P", "X")
# The same markers as SVG paths around the origin, for the page's legends.
MARKER_PATHS = (
    "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z",
    "M-4.5 -4.5h9v9h-9z",
    "M0 -6L6 0L0 6L-6 0z",
    "M0 -5.5L5.5 4.5H-5.5z",
    "M0 5.5L5.5 -4.5H-5.5z",
    "M-2 -6h4v4h4v4h-4v4h-4v-4h-4v-4h4z",
    "M-5.5 -3L-3 -5.5L0 -2.5L3 -5.5L5.5 -3L2.5 0L5.5 3L3 5.5L0 2.5L-3 5.5L-5.5 3L-2.5 0z",
)
_POINTS = 1_000
_PIXEL = 1 / 72  # matplotlib's inch is 72 units of its SVG

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 12,
    "axes.titlesize": 13,
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": FAINT,
    "grid.alpha": 0.35,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.8,
    "lines.markersize": 4,
}


def variant_look(index: int) -> tuple[int, int]:
    """Returns the places of color and marker of the study's `index`-th variant.

    Colors come round again after the last; by then each has another marker.
    """
    turn = index // len(VARIANT_COLORS)
    return index % len(VARIANT_COLORS), (index + turn) % len(_MARKERS)


def variant_style(index: int) -> dict[str, Any]:
    """Returns the color, line and marker of the study's `index`-th variant."""
    color, marker = variant_look(index)
    style = {"color": VARIANT_COLORS[color], "marker": _MARKERS[marker]}
    return {**style, "linestyle": _STYLES[index % len(_STYLES)]}


def difference_figure(comparison: Comparison) -> str:
    """Draws each difference to the baseline with its interval: a panel per unit, a line per metric.

    Returns "" if there is nothing to compare.
    """
    by_unit: dict[str, list[MetricRow]] = {}
    for row in comparison.headline_rows:
        if any(_compared(comparison, row, variant) for variant in comparison.variants):
            by_unit.setdefault(difference_unit(row), []).append(row)
    if not by_unit:
        return ""
    others = [v for v in comparison.variants if v != comparison.baseline]
    heights = [len(rows) * (14 + 12 * len(others)) for rows in by_unit.values()]
    with matplotlib.rc_context({**_STYLE, "axes.grid.axis": "x"}):
        size = (1000 * _PIXEL, (sum(heights) + 76 * len(heights)) * _PIXEL)
        figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(hspace=0.06))
        panels = figure.subplots(len(by_unit), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axes, (unit, rows) in zip(panels, by_unit.items(), strict=True):
            _draw_differences(axes, comparison, rows)
            better = "lower is better" if rows[0].lower_is_better else "higher is better"
            axes.set_xlabel(f"difference to {comparison.baseline} in {unit}, {better}")
        return _svg(figure, name="differences")


def loss_figure(results: StudyResults) -> str:
    """Draws held-out loss over tokens, a panel per source, a line per variant; "" without any."""
    units = {source: unit for source, (_, _, unit) in loss_metrics(results).items()}
    if not units:
        return ""
    curves = {variant: loss_curves(results, variant) for variant in results.spec.variants}
    end = _longest_path(results)
    num_columns = min(3, len(units))
    num_rows = -(-len(units) // num_columns)
    with matplotlib.rc_context(_STYLE):
        figure = Figure(
            figsize=(1000 * _PIXEL, (40 + 230 * num_rows) * _PIXEL), layout="constrained"
        )
        panels = figure.subplots(num_rows, num_columns, squeeze=False, sharex=True).flat
        for axes, (source, unit) in zip(panels, units.items(), strict=False):
            drawn = {v: of[source] for v, of in curves.items() if source in of}
            for variant, curve in drawn.items():
                index = list(curves).index(variant)
                axes.plot(curve.tokens, curve.values, **variant_style(index))
            axes.set_ylim(*_loss_limits(drawn.values(), end=end))
            axes.set_title(source)
            axes.set_ylabel(unit)
            axes.yaxis.set_major_locator(MaxNLocator(5))
            _set_token_axis(axes)
        for axes in list(panels)[: num_rows * num_columns - len(units)]:
            axes.set_visible(False)
        return _svg(figure, name="loss")


def course_figures(results: StudyResults) -> dict[str, str]:
    """Draws each variant's course: loss per source, mixture and learning rate on one token axis."""
    units = {source: unit for source, (_, _, unit) in loss_metrics(results).items()}
    curves = {variant: loss_curves(results, variant) for variant in results.spec.variants}
    end = _longest_path(results)
    limits = _loss_limits([c for of in curves.values() for c in of.values()], end=end)
    sources = list(results.spec.rows)
    figures = {}
    for variant in results.spec.variants:
        with matplotlib.rc_context(_STYLE):
            figure = Figure(figsize=(490 * _PIXEL, 420 * _PIXEL), layout="constrained")
            loss, mixture, rate = figure.subplots(3, 1, sharex=True, height_ratios=(5, 2.2, 2.2))
            _draw_source_losses(loss, curves[variant], units, sources)
            loss.set_ylim(*limits)
            _draw_mixture(mixture, results, variant, sources)
            curve = training_curve(results, variant, "learning_rate").thinned(_POINTS)
            _draw_learning_rate(rate, curve)
            _draw_phases((loss, mixture, rate), results, variant)
            rate.set_xlim(-0.01 * end, 1.01 * end)
            _set_token_axis(rate)
            figures[variant] = _svg(figure, name=f"course-{variant}")
    return figures


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
    axes.set_yticks(range(len(rows)), [label(row) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _draw_source_losses(
    axes: Axes, curves: Mapping[str, Curve], units: Mapping[str, str], sources: Sequence[str]
) -> None:
    for source, curve in curves.items():
        index = sources.index(source)
        color = SOURCE_COLORS[index % len(SOURCE_COLORS)]
        marker = _MARKERS[index % len(_MARKERS)]
        axes.plot(curve.tokens, curve.values, color=color, marker=marker)
    axes.set_ylabel(f"held-out loss, {next(iter(units.values()), 'nats')}")


def _longest_path(results: StudyResults) -> int:
    return max(spans(results, variant)[-1].end for variant in results.spec.variants)


def _loss_limits(curves: Iterable[Curve], *, end: int) -> tuple[float, float]:
    """Returns limits for the losses after the first tenth: before, they fall too far."""
    points = [p for curve in curves for p in zip(curve.tokens, curve.values, strict=True)]
    late = [v for t, v in points if t >= 0.1 * end and math.isfinite(v)]
    if not late:
        return (0.0, 1.0)
    margin = 0.06 * ((max(late) - min(late)) or 1.0)
    return (min(late) - margin, max(late) + margin)


def _draw_mixture(axes: Axes, results: StudyResults, variant: str, sources: Sequence[str]) -> None:
    """Stacks each source's share; shares change at once, so the areas have vertical edges."""
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
    """Marks where one phase ends and the next begins."""
    for axes in panels:
        for span in spans(results, variant)[1:]:
            axes.axvline(span.start, color=INK, linewidth=0.8, linestyle=(0, (3, 2)))


def _set_token_axis(axes: Axes) -> None:
    axes.set_xlabel("tokens")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda tokens, _: tokens_text(tokens)))


def _svg(figure: Figure, *, name: str) -> str:
    """Returns the figure as an <svg> element whose ids are its own and whose colors the page's."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name}):
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'width="([\d.]+)pt" height="([\d.]+)pt"', r'style="width: \1px"', text, count=1)
    text = re.sub(r'id="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'(href="|url\()#', rf"\1#{name}-", text)
    text = re.sub(r"(font: [^;\"']*|font-family: )'[^;\"]*", r"\1var(--sans)", text)
    variables = {
        **{color: f"var(--variant-{i})" for i, color in enumerate(VARIANT_COLORS)},
        **{color: f"var(--source-{i})" for i, color in enumerate(SOURCE_COLORS)},
        INK: "var(--ink)",
        FAINT: "var(--faint)",
        "#ffffff": "var(--paper)",
    }
    return re.sub(r"#[0-9a-f]{6}\b", lambda found: variables.get(found[0], found[0]), text)
