"""Published numbers beside ours, as rows of text."""

from dataclasses import dataclass

from codepretrain.report.published import Published, PublishedCell, PublishedEffect
from codepretrain.report.wording import (
    NOT_THERE,
    interval_text,
    is_known,
    number,
    signed,
    value_text,
)


@dataclass(frozen=True, kw_only=True)
class CellText:
    """One cell: the published number, ours, and the interval of ours."""

    published: str
    ours: str
    interval: str


@dataclass(frozen=True, kw_only=True)
class EffectText:
    """A stated effect beside what the published table implies and what was measured here."""

    what: str
    place: str
    stated: str
    implied: str
    ours: str
    is_contradicted: bool


def columns(published: Published) -> list[str]:
    """Returns the names of the averages."""
    return [row.evaluator.replace("_", " ") for row in published.rows]


def table_rows(published: Published) -> list[tuple[str, list[CellText]]]:
    """Returns (phase, its cells)."""
    return [
        (phase, [_cell(published, place, cell) for place, cell in enumerate(cells)])
        for phase, cells in published.cells.items()
    ]


def effect_rows(published: Published) -> list[EffectText]:
    """Returns the stated effects."""
    return [_effect(effect) for effect in published.effects]


def _cell(published: Published, place: int, cell: PublishedCell) -> CellText:
    row, ours = published.rows[place], cell.ours
    return CellText(
        published=NOT_THERE if cell.published is None else number(cell.published, digits=1),
        ours=NOT_THERE if ours is None else value_text(row, ours.metric.value).rstrip("%"),
        interval="" if ours is None else interval_text(row, ours.interval),
    )


def _effect(effect: PublishedEffect) -> EffectText:
    ours = NOT_THERE
    if effect.ours is not None and is_known(effect.ours.interval):
        low, high = (100 * end for end in (effect.ours.interval.low, effect.ours.interval.high))
        ours = (
            f"{_percent(100 * effect.ours.value)} ({signed(low, digits=1)} to "
            f"{signed(high, digits=1)})"
        )
    names = [name.replace("_", " ") for name in (effect.average, effect.phase, effect.reference)]
    return EffectText(
        what=f"{names[0]}, {names[1]} against {names[2]}",
        place=effect.place,
        stated=_percent(effect.stated),
        implied=NOT_THERE if effect.implied is None else _percent(effect.implied),
        ours=ours,
        is_contradicted=effect.is_contradicted,
    )


def _percent(value: float) -> str:
    return f"{signed(value, digits=1)}%"
