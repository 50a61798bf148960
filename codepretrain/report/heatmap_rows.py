"""The heat map as text: blocks of variants, and for each cell a number, a mark and a level."""

from collections.abc import Iterator
from dataclasses import dataclass

from codepretrain.report.cells import MetricRow
from codepretrain.report.heatmap import HeatCell, Heatmap
from codepretrain.report.wording import (
    NOT_THERE,
    difference_text,
    difference_unit,
    label,
    number,
    scale_of,
    signed,
)

LEVELS = (0.5, 1.0, 2.0, 4.0)  # where the next color begins; the last one saturates
_MAX_VARIANTS = 12  # side by side on a printed page


@dataclass(frozen=True, kw_only=True)
class HeatCellText:
    """A cell: its number with a mark, its color from -4 to 4, and what it is in full."""

    text: str
    level: int
    full: str


@dataclass(frozen=True, kw_only=True)
class HeatRowText:
    """A task: `unit` is the size of one unit of the map in the metric's own."""

    label: str
    unit: str
    cells: tuple[HeatCellText | None, ...]


@dataclass(frozen=True, kw_only=True)
class HeatBlock:
    """Variants side by side. groups: (category, its tasks)."""

    variants: tuple[str, ...]
    groups: tuple[tuple[str, tuple[HeatRowText, ...]], ...]


def heat_blocks(found: Heatmap) -> list[HeatBlock]:
    """Returns the map divided into tables that fit the width of a page."""
    starts = range(0, len(found.variants), _MAX_VARIANTS)
    return [_block(found, found.variants[i : i + _MAX_VARIANTS]) for i in starts]


def legend() -> Iterator[tuple[int, str]]:
    """Yields (level, what it is) from the most negative level to the most positive one."""
    last = len(LEVELS)
    for level in range(-last, last + 1):
        size = abs(level)
        if level == 0:
            yield level, f"within ±{LEVELS[0]:g}"
        elif size == last:
            yield (
                level,
                f"{'<' if level < 0 else '>'} {signed(level / size * LEVELS[-1], digits=0)}",
            )
        else:
            ends = sorted((level / size * LEVELS[size - 1], level / size * LEVELS[size]))
            yield level, " to ".join(f"{end:+g}".replace("-", "−") for end in ends)


def level_of(scaled: float) -> int:
    """Returns the color of a number of units.

    >>> [level_of(x) for x in (-9.0, -0.6, 0.4, 1.5)]
    [-4, -1, 0, 2]
    """
    size = sum(abs(scaled) >= bound for bound in LEVELS)
    return size if scaled > 0 else -size


def _block(found: Heatmap, variants: tuple[str, ...]) -> HeatBlock:
    shown = [of.row for of in found.rows]
    groups: dict[str, list[HeatRowText]] = {}
    for of in found.rows:
        cells = [of.cells.get(variant) for variant in variants]
        groups.setdefault(of.group, []).append(
            HeatRowText(
                label=_label(of.row, shown),
                unit=f"σ {_size(of.row, of.run_sd.value)}" if of.run_sd is not None else "",
                cells=tuple(_cell(of.row, cell, found) if cell else None for cell in cells),
            )
        )
    return HeatBlock(
        variants=variants, groups=tuple((name, tuple(rows)) for name, rows in groups.items())
    )


def _label(row: MetricRow, rows: list[MetricRow]) -> str:
    """Returns the task's name alone where the evaluation has one such score for each task."""
    task, _, score = row.name.partition("/")
    alike = {one.name.partition("/")[2] for one in rows if one.evaluator == row.evaluator}
    if row.is_percentage and score and alike == {score}:
        return task.replace("_", " ")
    return label(row, rows)


def _size(row: MetricRow, value: float) -> str:
    scale, digits = scale_of(row)
    return f"{number(scale * value, digits=digits)} {difference_unit(row)}"


def _cell(row: MetricRow, cell: HeatCell, found: Heatmap) -> HeatCellText:
    text = signed(cell.scaled, digits=1 if abs(cell.scaled) < 99.95 else 0)
    is_aside = not (found.is_of_checkpoints or cell.difference.between.are_recipes)
    size = f"{difference_text(row, cell.difference)} {difference_unit(row)}"
    p = NOT_THERE if cell.adjusted_p is None else f"{cell.adjusted_p:.2g}"
    return HeatCellText(
        text=f"{text}{'*' if cell.is_found else ''}{'°' if is_aside else ''}",
        level=level_of(cell.scaled),
        full=f"{size}, {cell.difference.between.text}, p after correction {p}",
    )
