"""The value of an arm with its interval, and its difference from a baseline, as cells of a table.

One run of each arm is a comparison of two checkpoints, with an interval over items (`paired.py`).
With replicates of both arms, runs and items are crossed (`inference/crossed.py`), and the
difference is between recipes.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

from codepretrain.evals.metric import Metric
from codepretrain.inference.crossed import contrast
from codepretrain.inference.interval import UNBOUNDED
from codepretrain.inference.scores import ArmScores
from codepretrain.report.arms import (
    Arm,
    ScoresReader,
    arm_scores,
    between,
    check_same_evaluation,
    mean_over_replicates,
    replicates_of,
)
from codepretrain.report.cells import (
    Cell,
    MetricRow,
    Outcome,
    is_share_of_items,
    is_unanimous,
    metric_interval,
    within_bounds,
)
from codepretrain.report.evaluations import Evaluation
from codepretrain.report.paired import PairedScores, paired_difference
from codepretrain.report.statistics import Difference, unpaired_difference, unpaired_proportions


class Reader:
    """Returns the item scores of evaluations; what cannot be read is a problem.

    Args:
      read: returns the scores per item of an evaluation, by metric; it keeps them.
      problems: gets a line for every file that is damaged.
    """

    def __init__(self, read: ScoresReader, problems: list[str]) -> None:
        self._read = read
        self.problems = problems

    def of(self, evaluation: Evaluation) -> Mapping[str, PairedScores]:
        """Returns the scores by metric, {} if they were not kept or cannot be read."""
        try:
            return self._read(evaluation)
        except ValueError as error:
            if str(error) not in self.problems:
                self.problems.append(str(error))
            return {}


def arm_cell(arm: Arm, reader: Reader) -> Cell:
    """Returns the mean over the replicates of an arm; the metric of a single run is as recorded.

    Runs that have a trunk in common are one replicate, whose score is their mean.

    Its interval includes the spread between runs where there are replicates. It is unknown where
    the item scores of one were not kept.
    """
    first, row = arm.metrics[0], arm.row
    names = tuple(run.name for run in arm.runs)
    of = arm.evaluations[0]
    if len(arm.runs) == 1:
        return Cell(
            runs=names,
            step=of.step,
            digest=of.digest,
            metric=first,
            values=arm.values,
            interval=metric_interval(row, first),
        )
    mean = mean_over_replicates(arm)
    metric = dataclasses.replace(first, value=mean, standard_error=math.nan)
    interval = UNBOUNDED
    try:
        check_same_evaluation([arm])
        scores = scores_of([arm], reader.of)
    except ValueError as error:
        reader.problems.append(f"{row.evaluator} of {arm.variant}: {error}")
        scores = None
    if scores is not None:
        are_recipes = between([arm]).are_recipes
        estimate = contrast(scores, [1.0], between="recipes" if are_recipes else "checkpoints")
        interval = within_bounds(row, estimate.interval)
        metric = dataclasses.replace(
            metric, standard_error=estimate.standard_error, freedom=estimate.freedom
        )
    return Cell(
        runs=names,
        step=of.step,
        digest=of.digest,
        metric=metric,
        values=arm.values,
        interval=interval,
    )


def with_difference(cell: Cell, ours: Arm, baseline: Arm, reader: Reader) -> Cell:
    """Returns the cell of an arm with its difference from the baseline, or why there is none."""
    row = ours.row
    try:
        check_same_evaluation([ours, baseline])
    except ValueError as error:
        phases = " ".join(f"--phase {run.name}" for run in (*ours.runs, *baseline.runs))
        reader.problems.append(
            f"{row.evaluator} of {ours.variant} {error}, so they are not compared: run "
            f"`codepretrain evaluate {phases}`"
        )
        return dataclasses.replace(cell, not_compared=str(error))
    try:
        difference = _difference(ours, baseline, reader)
    except ValueError as error:
        reader.problems.append(f"{row.evaluator} of {ours.variant}: {error}")
        difference = None
    if difference is None and len(ours.runs) == len(baseline.runs) == 1:
        difference = _unpaired(row, ours.metrics[0], baseline.metrics[0])
    if difference is None:
        return dataclasses.replace(cell, not_compared="the item scores of a replicate are missing")
    return dataclasses.replace(cell, difference=difference, outcome=_outcome(row, difference))


def _difference(ours: Arm, baseline: Arm, reader: Reader) -> Difference | None:
    """Returns the difference paired by item, None if the item scores of a run were not kept.

    Raises:
      ValueError: the item scores are not of the same items, or not those of the metrics.
    """
    if len(ours.runs) == len(baseline.runs) == 1:
        return two_checkpoints(ours, baseline, reader.of)
    scores = scores_of([ours, baseline], reader.of)
    if scores is None:
        return None
    of = between([ours, baseline])
    estimate = contrast(scores, [1.0, -1.0], between="recipes" if of.are_recipes else "checkpoints")
    return Difference.of(estimate, of)


def scores_of(arms: Sequence[Arm], read: ScoresReader) -> list[ArmScores] | None:
    """Returns the scores of arms that are compared, None if those of a run were not kept.

    Raises:
      ValueError: the item scores are not of the same items, or not those of the metrics.
    """
    labels = replicates_of(arms)
    found = [arm_scores(arm, read, replicates=of) for arm, of in zip(arms, labels, strict=True)]
    kept = [scores for scores in found if scores is not None]
    return kept if len(kept) == len(found) else None


def two_checkpoints(ours: Arm, baseline: Arm, read: ScoresReader) -> Difference | None:
    """Returns the difference of the first runs of two arms, None if its items were not kept.

    Raises:
      ValueError: the item scores are not of the same items, or not those of the metrics.
    """
    row = ours.row
    scores = [read(arm.evaluations[0]).get(row.name) for arm in (ours, baseline)]
    if scores[0] is None or scores[1] is None:
        return None
    difference = paired_difference(scores[0], scores[1], is_fraction=row.is_percentage)
    gap = ours.values[0] - baseline.values[0]
    are_nan = math.isnan(difference.value) and math.isnan(gap)
    if not are_nan and not math.isclose(difference.value, gap, rel_tol=1e-4, abs_tol=1e-6):
        raise ValueError(
            f"{row.name}: the item scores differ by {difference.value:.6g} and the metrics by "
            f"{gap:.6g}: the kept items are not those of this evaluation"
        )
    return difference


def _unpaired(row: MetricRow, ours: Metric, baseline: Metric) -> Difference:
    if all(is_share_of_items(row, m) or is_unanimous(row, m) for m in (ours, baseline)):
        return unpaired_proportions((ours.value, ours.count), (baseline.value, baseline.count))
    return unpaired_difference(
        (ours.value, ours.standard_error),
        (baseline.value, baseline.standard_error),
        freedom=min(ours.freedom, baseline.freedom),
        num_items=min(ours.num_items, baseline.num_items),
    )


def _outcome(row: MetricRow, difference: Difference) -> Outcome:
    if difference.verdict == "not distinguishable":
        return "not distinguishable"
    return "favorable" if difference.verdict == row.direction else "unfavorable"
