"""The target's scores as the smaller and shorter runs predict them, beside the measured ones.

Losses follow a law of parameters and tokens for each mixture (`inference/ladder/power_law.py`),
accuracies a curve over a loss (`accuracy_curve.py`). Both are fit to runs below the target alone,
and each is held to leave-one-out: every size and length as predicted from all others.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from codepretrain.inference.interval import Interval
from codepretrain.inference.ladder.accuracy_curve import (
    leave_one_out_accuracies,
    predict_accuracy,
)
from codepretrain.inference.ladder.power_law_resamples import leave_one_out_losses, predict_loss
from codepretrain.report.cells import MetricRow
from codepretrain.report.ladder_arms import Ladder, LadderArm, is_loss, values_of
from codepretrain.report.mixtures import Mixture

_DRAWS = 100  # of the bootstrap


@dataclass(frozen=True, kw_only=True)
class LadderPrediction:
    """One metric of one mixture at the target.

    Attributes:
      loss: over which an accuracy is predicted; None for a loss.
      predicted, interval: of the law, over runs; NaN if it cannot be fit, and `missing` says why.
      actual, actual_interval: measured at the target.
      left_out: (actual, predicted without its size and length) of every run below the target.
    """

    row: MetricRow
    mixture: Mixture
    variant: str
    loss: MetricRow | None
    num_runs: int
    predicted: float
    interval: Interval
    actual: float
    actual_interval: Interval
    left_out: tuple[tuple[float, float], ...] = ()
    missing: str = ""

    @property
    def error(self) -> float:
        """Predicted minus actual."""
        return self.predicted - self.actual

    @property
    def left_out_error(self) -> float:
        """The mean absolute error of leave-one-out, NaN without any."""
        gaps = [abs(actual - predicted) for actual, predicted in self.left_out]
        return float(np.mean(gaps)) if gaps else float("nan")


def predictions(ladder: Ladder) -> Iterator[LadderPrediction]:
    """Yields the predictions of every metric and of every mixture that the target has."""
    for row in ladder.rows:
        for mixture, target in ladder.at(ladder.target).items():
            if target.values(row):
                yield _prediction(ladder, row, mixture, target)


def num_predictions(ladder: Ladder) -> int:
    """Returns how many predictions `predictions` yields."""
    targets = ladder.at(ladder.target).values()
    return sum(bool(target.values(row)) for row in ladder.rows for target in targets)


def loss_for(ladder: Ladder, row: MetricRow) -> MetricRow | None:
    """Returns the loss over which an accuracy is predicted.

    That of its own evaluation, else the one over all sources, else the first.
    """
    losses = [one for one in ladder.rows if is_loss(one)]
    own = [one for one in losses if one.evaluator == row.evaluator]
    over_all = [one for one in losses if one.name.split("/")[0] == "all"]
    return next(iter([*own, *over_all, *losses]), None)


def _prediction(
    ladder: Ladder, row: MetricRow, mixture: Mixture, target: LadderArm
) -> LadderPrediction:
    loss = None if is_loss(row) else loss_for(ladder, row)
    arms = [arm for arm in ladder.below(mixture) if arm.values(row)]
    if loss is not None:
        arms = [arm for arm in arms if len(arm.values(loss)) == len(arm.values(row))]
    points, values = values_of(arms, row)
    groups = [tuple(point) for point in points]
    point = np.array(ladder.target, float)
    missing = ""
    left_out: tuple[tuple[float, float], ...] = ()
    predicted, interval = float("nan"), Interval(-np.inf, np.inf)
    try:
        if is_loss(row):
            found = predict_loss(points, values, point, num_draws=_DRAWS)
            left = leave_one_out_losses(points, values, groups=groups)
        else:
            if loss is None or not row.is_percentage:
                raise ValueError("there is no loss to predict it from")
            losses = values_of(arms, loss)[1]
            chance = target.cells[row].metric.null_value
            found = predict_accuracy(points, losses, values, point, chance=chance, num_draws=_DRAWS)
            left = leave_one_out_accuracies(losses, values, chance=chance, groups=groups)
        predicted, interval = found.value, found.interval
        left_out = tuple(zip(values.tolist(), left.tolist(), strict=True))
    except ValueError as error:
        missing = str(error)
    cell = target.cells[row]
    return LadderPrediction(
        row=row,
        mixture=mixture,
        variant=target.variant,
        loss=loss,
        num_runs=len(values),
        predicted=predicted,
        interval=interval,
        actual=cell.metric.value,
        actual_interval=cell.interval,
        left_out=left_out,
        missing=missing,
    )


def predicted_of(found: Sequence[LadderPrediction], row: MetricRow) -> dict[Mixture, float]:
    """Returns the predictions of a metric that there are, by mixture."""
    return {one.mixture: one.predicted for one in found if one.row == row and not one.missing}
