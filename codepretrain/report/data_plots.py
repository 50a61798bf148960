"""The figures of the data card: fates, lengths, languages, and mixtures against what there is."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from codepretrain.printable import printable
from codepretrain.report.data_tables import FATES, Description, fate_totals, language_name
from codepretrain.report.figure_style import (
    PIXEL,
    RC_PARAMS,
    SOURCE_COLORS,
    VARIANT_COLORS,
    svg_element,
)
from codepretrain.report.wording import bytes_text, tokens_text

# Indices of VARIANT_COLORS: what is used is blue, what is left out is not.
FATE_COLORS = {
    "train": 1,
    "validation": 6,
    "exact_duplicate": 5,
    "near_duplicate": 4,
    "contaminated": 2,
    "filtered": 3,
    "over_limit": 0,
    "held_out_copy": 2,  # as contaminated: left out because of what is evaluated
}
_MAX_BARS = 8  # languages in a panel
_MAX_NAME = 24  # characters of a language's name
_WIDTH = 1000
_PARAMS = {**RC_PARAMS, "axes.axisbelow": True}
_BAR_PARAMS = {**_PARAMS, "axes.grid.axis": "x"}


def fate_figure(description: Description) -> str:
    """Draws the share of each source's bytes by fate, and how many bytes were read."""
    sources = description["sources"]
    with matplotlib.rc_context(_BAR_PARAMS):
        figure, axes = _bars(len(sources))
        for position, source in enumerate(sources.values()):
            totals = fate_totals(source, "num_bytes")
            del totals["skipped"]
            every = sum(totals.values())
            left = 0.0
            for fate in sorted(totals, key=list(FATE_COLORS).index):
                width = totals[fate] / every if every else 0.0
                color = VARIANT_COLORS[FATE_COLORS[fate]]
                axes.barh(position, width, left=left, color=color, height=0.62)
                left += width
            axes.text(1.01, position, bytes_text(every), va="center", fontsize=11)
        _finish_bars(axes, list(sources), "share of the text that was read")
        return svg_element(figure, name="fates")


def fates_in(description: Description) -> list[tuple[str, int]]:
    """Returns the fates in the figure and their colors, for its legend."""
    return [
        (FATES[fate], color)
        for fate, color in FATE_COLORS.items()
        if any(fate_totals(s, "num_bytes")[fate] for s in description["sources"].values())
    ]


def mixture_figure(description: Description) -> str:
    """Draws the share of each source in what is available, and in the tokens of each phase."""
    use = description["use"]
    sources = list(use["available"])
    total = sum(use["available"].values())
    shares = {"available": {s: held / total for s, held in use["available"].items()}}
    tokens = {"available": total}
    for phase in use["phases"]:
        shares[phase["name"]] = {s: found["share"] for s, found in phase["sources"].items()}
        tokens[phase["name"]] = phase["tokens"]
    with matplotlib.rc_context(_BAR_PARAMS):
        figure, axes = _bars(len(shares))
        for position, (name, of) in enumerate(shares.items()):
            left = 0.0
            for source, share in of.items():
                color = _source_color(sources.index(source))
                axes.barh(position, share, left=left, color=color, height=0.62)
                left += share
            axes.text(1.01, position, tokens_text(tokens[name]), va="center", fontsize=11)
        axes.axhline(0.5, color=matplotlib.rcParams["axes.edgecolor"], linewidth=0.8)
        _finish_bars(axes, list(shares), "share of tokens")
        return svg_element(figure, name="mixtures")


def length_figure(description: Description) -> str:
    """Draws a histogram of the lengths of used documents for each source."""
    sources = description["sources"]
    drawn = {name: source["lengths"]["log2"] for name, source in sources.items()}
    filled = [i for counts in drawn.values() for i, count in enumerate(counts) if count]
    if not filled:
        return ""
    first, last = min(filled), max(filled)
    with matplotlib.rc_context(_PARAMS):
        figure, panels = _panels(len(drawn), height=170)
        for index, (axes, (name, counts)) in enumerate(zip(panels, drawn.items(), strict=False)):
            axes.bar(
                [i + 0.5 for i in range(len(counts))], counts, 0.94, color=_source_color(index)
            )
            axes.set_title(name)
            axes.set_xlim(first - 0.2, last + 1.2)
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda power, _: _power_text(power)))
            axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda count, _: tokens_text(count)))
        figure.supxlabel("length of a document, bytes", fontsize=12)
        figure.supylabel("documents", fontsize=12)
        return svg_element(figure, name="lengths")


def language_figure(description: Description) -> str:
    """Draws the text of each language, a panel a source; "" if no source has two languages.

    The numbers are bytes per token.
    """
    drawn = {
        name: source["languages"]
        for name, source in description["sources"].items()
        if len(source["languages"]["entries"]) > 1
    }
    if not drawn:
        return ""
    bars = max(min(_MAX_BARS, len(found["entries"])) for found in drawn.values())
    indices = {name: index for index, name in enumerate(description["sources"])}
    with matplotlib.rc_context(_BAR_PARAMS):
        figure, panels = _panels(len(drawn), height=60 + 22 * bars)
        for axes, (name, found) in zip(panels, drawn.items(), strict=False):
            _draw_languages(axes, found, bars, _source_color(indices[name]))
            axes.set_title(name)
        widest = max(axes.dataLim.x1 for axes in panels)
        for axes in panels:
            axes.set_xlim(0, 1.2 * widest)  # room for the number at a bar
        with warnings.catch_warnings():  # the page has more glyphs than the font for measuring
            warnings.filterwarnings("ignore", "Glyph .* missing from font")
            return svg_element(figure, name="languages")


def _draw_languages(axes: Axes, languages: Mapping[str, Any], bars: int, color: str) -> None:
    entries = languages["entries"][:_MAX_BARS]
    every = sum(entry["num_bytes"] for entry in languages["entries"])
    shares = [entry["num_bytes"] / every for entry in entries]
    axes.barh(range(len(entries)), shares, color=color, height=0.62)
    for position, (share, entry) in enumerate(zip(shares, entries, strict=True)):
        ratio = entry["num_bytes"] / entry["num_tokens"]
        axes.text(share + 0.015, position, f"{ratio:.2f}", va="center", fontsize=11)
    names = [printable(language_name(languages, entry), kept="") for entry in entries]
    names = [n if len(n) <= _MAX_NAME else f"{n[: _MAX_NAME - 1]}…" for n in names]
    axes.set_yticks(range(len(entries)), names, parse_math=False)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_ylim(bars - 0.5, -0.5)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def _bars(count: int) -> tuple[Figure, Axes]:
    size = (_WIDTH * PIXEL, (52 + 30 * count) * PIXEL)
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots()


def _finish_bars(axes: Axes, names: Sequence[str], label: str) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(0, 1.09)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(label)
    _set_percent_axis(axes)


def _panels(count: int, *, height: int) -> tuple[Figure, list[Axes]]:
    """Returns a figure of panels, at most three beside each other, and those that are drawn."""
    num_columns = min(3, count)
    num_rows = -(-count // num_columns)
    figure = Figure(
        figsize=(_WIDTH * PIXEL, (40 + height * num_rows) * PIXEL), layout="constrained"
    )
    panels = list(figure.subplots(num_rows, num_columns, squeeze=False).flat)
    for axes in panels[count:]:
        axes.set_visible(False)
    return figure, panels[:count]


def _set_percent_axis(axes: Axes) -> None:
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100%"])


def _source_color(index: int) -> str:
    return SOURCE_COLORS[index % len(SOURCE_COLORS)]


def _power_text(power: float) -> str:
    """Returns 10 as "1 KiB"."""
    size = 2 ** round(power)
    for unit, step in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= step:
            return f"{size // step} {unit}"
    return f"{size} B"
