"""Published numbers beside a study's own. `published.json` has them, with the place of each.

A number that the paper does not state is absent there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codepretrain.inference.effects import Effect
from codepretrain.report.arms import check_same_evaluation, find_arm
from codepretrain.report.averaged import Averaged
from codepretrain.report.averages import METRIC
from codepretrain.report.cells import Cell, MetricRow
from codepretrain.report.collect import StudyResults
from codepretrain.report.compare import compare, metric_rows
from codepretrain.report.contrast_effects import relative
from codepretrain.report.differences import scores_of
from codepretrain.report.phases import by_phase
from codepretrain.report.published_tables import tables

_AGREE = 0.5  # points of percent within which a stated effect is that of the published table


@dataclass(frozen=True, kw_only=True)
class PublishedCell:
    """A published number, and ours with its interval; None where there is none."""

    published: float | None
    ours: Cell | None


@dataclass(frozen=True, kw_only=True)
class PublishedEffect:
    """A relative effect in percent: as stated, as the published table implies it, and ours.

    ours: None where it was not measured, or where a mean is not surely above 0.
    """

    place: str
    phase: str
    reference: str
    average: str
    stated: float
    implied: float | None
    ours: Effect | None

    @property
    def is_contradicted(self) -> bool:
        """Whether the published table implies another effect than the one stated."""
        return self.implied is not None and abs(self.implied - self.stated) > _AGREE


@dataclass(frozen=True, kw_only=True)
class Published:
    """What was published of the phases of a study.

    Attributes:
      rows: averages, as columns.
      cells: phase → one for each average.
      contradictions: of the paper with itself, about phases of this study.
    """

    paper: str
    place: str
    model: str
    rows: Sequence[MetricRow]
    cells: Mapping[str, Sequence[PublishedCell]]
    effects: Sequence[PublishedEffect]
    contradictions: Sequence[str]


def beside_published(results: StudyResults, averages: Averaged | None) -> Published | None:
    """Returns the published table of a study's phases beside ours, None if there is none."""
    known = tables()
    for table in known["tables"]:
        if results.spec.study in table["studies"] and averages is not None:
            return _beside(known["paper"], table, averages)
    return None


def _beside(paper: str, table: Mapping[str, Any], averages: Averaged) -> Published | None:
    phases = by_phase(averages.results)
    published = {n: of for n, of in table["phases"].items() if n in phases.spec.variants}
    names = list(dict.fromkeys(name for of in published.values() for name in of))
    rows = [
        row
        for row in metric_rows(phases)
        if row.evaluator in names and row.name == METRIC and row.is_percentage
    ]
    if not rows:
        return None
    comparison = compare(
        phases, tuple(published), rows=tuple(rows), baseline=None, read=averages.averages.read
    )
    cells = {
        phase: [
            PublishedCell(published=of.get(row.evaluator), ours=comparison.cells.get((row, phase)))
            for row in rows
        ]
        for phase, of in published.items()
    }
    return Published(
        paper=paper,
        place=table["place"],
        model=table["model"],
        rows=rows,
        cells=cells,
        effects=[
            _effect(effect, table["phases"], phases, rows, averages)
            for effect in table["effects"]
            if {effect["phase"], effect["reference"]} <= cells.keys()
        ],
        contradictions=[
            one["text"] for one in table["contradictions"] if set(one["phases"]) <= cells.keys()
        ],
    )


def _effect(
    stated: Mapping[str, Any],
    published: Mapping[str, Mapping[str, float]],
    phases: StudyResults,
    rows: Sequence[MetricRow],
    averages: Averaged,
) -> PublishedEffect:
    name = stated["average"]
    values = [published[stated[side]].get(name) for side in ("phase", "reference")]
    ours = None
    row = next((row for row in rows if row.evaluator == name), None)
    if row is not None:
        ours = _relative(phases, row, (stated["phase"], stated["reference"]), averages)
    return PublishedEffect(
        place=stated["place"],
        phase=stated["phase"],
        reference=stated["reference"],
        average=name,
        stated=stated["relative_percent"],
        implied=100 * (values[0] / values[1] - 1) if values[0] and values[1] else None,
        ours=ours,
    )


def _relative(
    phases: StudyResults, row: MetricRow, pair: tuple[str, str], averages: Averaged
) -> Effect | None:
    arms = [arm for phase in pair if (arm := find_arm(phases, phase, row)) is not None]
    if len(arms) < 2:
        return None
    try:
        check_same_evaluation(arms)
        scores = scores_of(arms, averages.averages.read)
    except ValueError:
        return None  # the comparison of the variants tells why
    return relative(scores) if scores is not None else None
