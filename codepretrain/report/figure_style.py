"""The style of the report's figures, and their conversion to inline SVG.

Figures are drawn at one unit per CSS pixel. Colors with a meaning (a variant, a source) and the ink
are replaced by the page's CSS variables, so a figure is legible in light, dark and print. The hues
are those of Okabe and Ito and of Tol, which are distinguishable with common color-vision
deficiencies; line styles and markers add to the distinction.
"""

import io
import re
from typing import Any

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# As drawn; the page replaces them by the dark values for readers who prefer dark.
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
LINE_STYLES = ("-", "-", (0, (6, 2)), (0, (2, 1.5)), (0, (6, 2, 1.5, 2)), "-", (0, (4, 1)))
MARKERS = ("o", "s", "D", "^", "v", "P", "X")
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
PIXEL = 1 / 72  # matplotlib's inch is 72 units of its SVG

RC_PARAMS: dict[Any, Any] = {
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
    """Returns the indices of the color and the marker of the study's `index`-th variant.

    Colors repeat after the last one, with other markers.
    """
    cycle = index // len(VARIANT_COLORS)
    return index % len(VARIANT_COLORS), (index + cycle) % len(MARKERS)


def variant_style(index: int) -> dict[str, Any]:
    """Returns the color, line and marker of the study's `index`-th variant."""
    color, marker = variant_look(index)
    style = {"color": VARIANT_COLORS[color], "marker": MARKERS[marker]}
    return {**style, "linestyle": LINE_STYLES[index % len(LINE_STYLES)]}


def svg_element(figure: Figure, *, name: str) -> str:
    """Returns the figure as an <svg> element with unique ids and the page's color variables."""
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
