"""Two metrics against each other: which variants are on the front, and which are surely behind it.

A variant is on the front if no other one is at least as good on both metrics and better on one, as
measured. It is behind a variant of the front if that one's lead on each of the two metrics is
found: both one-sided tests reject (an intersection–union test), after Holm's correction for all
ordered pairs of variants. Otherwise it is not distinguishable from the front.

Source: Berger 1982, Technometrics 24, 295–300 (intersection–union tests).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from codepretrain.evals.metric import Direction
from codepretrain.inference.families import adjusted
from codepretrain.inference.interval import CONFIDENCE
from codepretrain.report.arms import Arm, find_arm, share_a_run
from codepretrain.report.averaged import Averaged
from codepretrain.report.between import Between
from codepretrain.report.cells import Cell, MetricRow
from codepretrain.report.collect import StudyResults
from codepretrain.report.contrasts import MetricSource, source_of
from codepretrain.report.differences import Reader, arm_cell, with_difference
from codepretrain.report.statistics import Difference


@dataclass(frozen=True, kw_only=True)
class Lead:
    """A variant of the front that is ahead on both metrics.

    Attributes:
      p_value: the larger of the two one-sided ones.
      adjusted_p: after Holm's correction over all ordered pairs of variants.
    """

    variant: str
    p_value: float
    between: Between
    adjusted_p: float = 1.0

    @property
    def is_found(self) -> bool:
        return self.adjusted_p < 1 - CONFIDENCE


@dataclass(frozen=True, kw_only=True)
class ParetoPoint:
    """A variant.

    Attributes:
      others: variants that end in the same runs.
      cells: of the two metrics.
      leads: what is ahead of it on both, of the front; empty for the front itself.
    """

    variant: str
    others: tuple[str, ...]
    cells: tuple[Cell, Cell]
    is_on_front: bool
    leads: tuple[Lead, ...] = ()

    @property
    def is_behind(self) -> bool:
        return any(lead.is_found for lead in self.leads)


@dataclass(frozen=True, kw_only=True)
class Pareto:
    rows: tuple[MetricRow, MetricRow]
    points: tuple[ParetoPoint, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "metrics": [f"{row.evaluator}/{row.name}" for row in self.rows],
            "points": [
                {
                    "variant": point.variant,
                    "others": point.others,
                    "values": [cell.metric.value for cell in point.cells],
                    "intervals": [cell.interval for cell in point.cells],
                    "of_runs": [cell.values for cell in point.cells],
                    "runs": point.cells[0].runs,
                    "digests": [cell.digest for cell in point.cells],
                    "is_on_front": point.is_on_front,
                    "is_behind": point.is_behind,
                    "leads": [
                        {
                            "variant": lead.variant,
                            "p_value": lead.p_value,
                            "adjusted_p": lead.adjusted_p,
                            "between": lead.between.text,
                        }
                        for lead in point.leads
                    ],
                }
                for point in self.points
            ],
        }


def pareto(results: StudyResults, averages: Averaged | None, reader: Reader) -> Pareto | None:
    """Returns the plot of the study's two metrics, None if fewer than two variants have both.

    A variant with a score that is NaN has none: nothing can be said to be better or worse.
    """
    metrics = results.spec.pareto
    if len(metrics) != 2:
        return None
    x, y = (source_of(metric, results, averages, reader) for metric in metrics)
    if x.row is None or y.row is None or not (x.row.direction and y.row.direction):
        return None
    readers = (Reader(x.read, reader.problems), Reader(y.read, reader.problems))
    arms: list[tuple[Arm, Arm]] = []
    others: dict[str, list[str]] = {}
    for variant in results.spec.variants:
        found = find_arm(x.results, variant, x.row), find_arm(y.results, variant, y.row)
        if found[0] is None or found[1] is None:
            continue
        if np.isnan([*found[0].values, *found[1].values]).any():  # of a run that diverged
            continue
        same = next((of for of in arms if share_a_run(of[0], found[0])), None)
        if same is not None:
            others[same[0].variant].append(variant)
        else:
            arms.append((found[0], found[1]))
            others[variant] = []
    if len(arms) < 2:
        return None
    points = _points(arms, (x, y), readers)
    named = [replace(point, others=tuple(others[point.variant])) for point in points]
    return Pareto(rows=(x.row, y.row), points=tuple(corrected(named)))


def front(values: np.ndarray) -> np.ndarray:
    """Returns which points [P, 2] are on the front, [P] bool; higher is better on both.

    >>> front(np.array([[1.0, 3.0], [2.0, 2.0], [1.0, 2.0], [2.0, 2.0]])).tolist()
    [True, True, False, True]
    """
    at_least = np.all(values[None] >= values[:, None], axis=2)
    better = np.any(values[None] > values[:, None], axis=2)
    return np.asarray(~np.any(at_least & better, axis=1))


def _points(
    arms: Sequence[tuple[Arm, Arm]],
    sources: tuple[MetricSource, MetricSource],
    readers: tuple[Reader, Reader],
) -> list[ParetoPoint]:
    signs = [1 if source.row and source.row.direction == "higher" else -1 for source in sources]
    cells_of = [(arm_cell(x, readers[0]), arm_cell(y, readers[1])) for x, y in arms]
    values = np.array(signs) * [[cell.metric.value for cell in cells] for cells in cells_of]
    is_front = front(values)
    points = []
    for place, (of, cells) in enumerate(zip(arms, cells_of, strict=True)):
        ahead = [i for i in np.flatnonzero(is_front) if (values[i] > values[place]).all()]
        leads = [_lead(arms[int(i)], of, readers) for i in ahead]
        points.append(
            ParetoPoint(
                variant=of[0].variant,
                others=(),
                cells=cells,
                is_on_front=bool(is_front[place]),
                leads=tuple(lead for lead in leads if lead is not None),
            )
        )
    return points


def _lead(
    ours: tuple[Arm, Arm], theirs: tuple[Arm, Arm], readers: tuple[Reader, Reader]
) -> Lead | None:
    """Returns the lead of the first over the second, None if they cannot be compared."""
    found: list[Difference] = []
    for one, other, reader in zip(ours, theirs, readers, strict=True):
        cell = with_difference(arm_cell(one, reader), one, other, reader)
        if cell.difference is None:
            return None
        found.append(cell.difference)
    p_value = max(
        one_sided(difference, one.row.direction)
        for difference, one in zip(found, ours, strict=True)
    )
    return Lead(variant=ours[0].variant, p_value=p_value, between=found[0].between)


def one_sided(difference: Difference, direction: Direction | None) -> float:
    """Returns the p-value against no lead in a metric's direction.

    The means of both arms may be over other replicates than in their difference, where trunks have
    unequal numbers of runs and are shared by some arms: then its sign may be the other one.
    """
    leads = (difference.value > 0) == (direction == "higher")
    return difference.p_value / 2 if leads else 1 - difference.p_value / 2


def corrected(points: Sequence[ParetoPoint]) -> list[ParetoPoint]:
    """Returns the points with p-values after Holm; pairs that were not tested count as 1."""
    names = [point.variant for point in points]
    family = {(a, b): 1.0 for a in names for b in names if a != b}
    family |= {(lead.variant, p.variant): lead.p_value for p in points for lead in p.leads}
    after = adjusted(family, method="holm")
    return [
        replace(
            point,
            leads=tuple(
                replace(lead, adjusted_p=after[lead.variant, point.variant]) for lead in point.leads
            ),
        )
        for point in points
    ]
