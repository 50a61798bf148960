"""How often a smaller point orders two mixtures as the target does, for each metric."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from codepretrain.inference.ladder.ranking import DecisionAccuracy, decision_accuracy
from codepretrain.report.arms import Arm
from codepretrain.report.cells import MetricRow
from codepretrain.report.differences import Reader, arm_cell, with_difference
from codepretrain.report.ladder_arms import Ladder, LadderArm, Point, sign_of
from codepretrain.report.ladder_predictions import LadderPrediction, predicted_of
from codepretrain.report.mixtures import Mixture

_LEAST = 3  # mixtures


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Decision accuracy of a point, or of the laws' predictions.

    Attributes:
      point: None for the predictions made from all points below the target.
      of_distinguishable: among pairs whose difference at the target has an interval without 0.
    """

    row: MetricRow
    point: Point | None
    num_mixtures: int
    of_all: DecisionAccuracy
    of_distinguishable: DecisionAccuracy


def rankings(
    ladder: Ladder, found: Sequence[LadderPrediction], problems: list[str]
) -> Iterator[Ranking]:
    """Yields the rankings of every metric, the smallest point first and the laws last."""
    target = ladder.at(ladder.target)
    for row in ladder.rows:
        actual = _means(target, row)
        sure = _distinguishable(target, list(actual), row, problems)
        small: list[tuple[Point | None, Mapping[Mixture, float]]] = [
            (point, _means(ladder.at(point), row)) for point in ladder.points
        ]
        small.append((None, predicted_of(found, row)))
        for point, values in small:
            common = [mixture for mixture in actual if mixture in values]
            if len(common) < _LEAST:
                continue
            places = [list(actual).index(mixture) for mixture in common]
            ours, theirs = (
                sign_of(row) * np.array([of[mixture] for mixture in common])
                for of in (values, actual)
            )
            yield Ranking(
                row=row,
                point=point,
                num_mixtures=len(common),
                of_all=decision_accuracy(ours, theirs),
                of_distinguishable=decision_accuracy(
                    ours, theirs, is_distinguishable=sure[np.ix_(places, places)]
                ),
            )


def _means(arms: Mapping[Mixture, LadderArm], row: MetricRow) -> dict[Mixture, float]:
    return {
        mixture: float(np.mean(arm.values(row)))
        for mixture, arm in arms.items()
        if arm.values(row) and np.isfinite(arm.values(row)).all()
    }


def _distinguishable(
    target: Mapping[Mixture, LadderArm],
    mixtures: Sequence[Mixture],
    row: MetricRow,
    problems: list[str],
) -> np.ndarray:
    """Returns which pairs differ at the target, [M, M] bool."""
    arms: list[tuple[Arm, Reader] | None] = []
    readers: dict[int, Reader] = {}
    for mixture in mixtures:
        found = target[mixture].find(row)
        if found is not None:
            arm, read = found
            reader = readers.setdefault(id(read), Reader(read, problems))
            arms.append((arm, reader))
        else:
            arms.append(None)
    differs = np.zeros((len(arms), len(arms)), bool)
    for (i, first), (j, second) in itertools.combinations(enumerate(arms), 2):
        if first is None or second is None:
            continue
        cell = with_difference(arm_cell(*first), first[0], second[0], first[1])
        if cell.difference is not None:
            differs[i, j] = differs[j, i] = cell.difference.verdict != "not distinguishable"
    return differs
