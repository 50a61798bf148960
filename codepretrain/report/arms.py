"""The arms of a comparison: the replicates of a variant, and the scores of their items."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from codepretrain.config.schema import ContrastConfig
from codepretrain.evals.identity import differing
from codepretrain.evals.metric import Metric
from codepretrain.inference.common_starts import common_starts, independent_replicates
from codepretrain.inference.scores import ArmScores, averaged_over_trunks
from codepretrain.inference.shared_runs import groups_of
from codepretrain.report.between import Between
from codepretrain.report.cells import MetricRow
from codepretrain.report.collect import RunResults, StudyResults
from codepretrain.report.evaluations import Evaluation
from codepretrain.report.paired import PairedScores, aligned, stacked

ScoresReader = Callable[[Evaluation], Mapping[str, PairedScores]]


@dataclass(frozen=True, kw_only=True)
class Arm:
    """The replicates of a variant that have a score at the end of their last phase.

    Attributes:
      places: which replicates of the variant these are, from 0.
      runs: the last run of each.
      starts: the first run of each, or the imported model that it starts from; one of them, where
        an average has several. Replicates with equal starts are not independent of each other.
      ancestors: all runs of each, the last one too, and imported models that they start from.
    """

    variant: str
    row: MetricRow
    places: tuple[int, ...]
    runs: tuple[RunResults, ...]
    evaluations: tuple[Evaluation, ...]
    starts: tuple[str, ...]
    ancestors: tuple[frozenset[str], ...]

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return tuple(evaluation.metrics[self.row.name] for evaluation in self.evaluations)

    @property
    def values(self) -> tuple[float, ...]:
        return tuple(metric.value for metric in self.metrics)

    def take(self, places: Sequence[int]) -> "Arm":
        """Returns the given replicates of the variant, each of which must be here."""
        return self._of([self.places.index(place) for place in places])

    def joined(self, other: "Arm") -> "Arm":
        """Returns the runs of two arms that have runs in common, each once."""
        seen = {run.plan.run_dir for run in self.runs}
        new = other._of([i for i, run in enumerate(other.runs) if run.plan.run_dir not in seen])
        return dataclasses.replace(
            self,
            places=self.places + new.places,
            runs=self.runs + new.runs,
            evaluations=self.evaluations + new.evaluations,
            starts=self.starts + new.starts,
            ancestors=self.ancestors + new.ancestors,
        )

    def _of(self, kept: Sequence[int]) -> "Arm":
        return dataclasses.replace(
            self,
            places=tuple(self.places[i] for i in kept),
            runs=tuple(self.runs[i] for i in kept),
            evaluations=tuple(self.evaluations[i] for i in kept),
            starts=tuple(self.starts[i] for i in kept),
            ancestors=tuple(self.ancestors[i] for i in kept),
        )


def find_arm(results: StudyResults, variant: str, row: MetricRow) -> Arm | None:
    """Returns the measured replicates of a variant, None if there are none.

    Replicates whose phases have one fingerprint are one run, and one replicate.
    """
    places, runs, evaluations, starts, ancestors = [], [], [], [], []
    seen: set[str] = set()
    for place, path in enumerate(results.replicates(variant)):
        evaluation = path[-1].at_end(row.evaluator)
        metric = evaluation.metrics.get(row.name) if evaluation else None
        if evaluation is None or metric is None:
            continue
        if row != MetricRow.of(row.evaluator, row.name, metric):
            continue
        if path[-1].plan.run_dir in seen:
            continue
        seen.add(path[-1].plan.run_dir)
        places.append(place)
        runs.append(path[-1])
        evaluations.append(evaluation)
        starts.append(_starts(path))
        plans = [run.plan for run in path]
        imported = {plan.initial_checkpoint for plan in plans if plan.initial_checkpoint}
        ancestors.append(frozenset({plan.run_dir for plan in plans} | imported))
    if not runs:
        return None
    return Arm(
        variant=variant,
        row=row,
        places=tuple(places),
        runs=tuple(runs),
        evaluations=tuple(evaluations),
        starts=tuple(common_starts(starts)),
        ancestors=tuple(ancestors),
    )


def _starts(path: Sequence[RunResults]) -> list[str]:
    """Returns what a run starts from: one of them, or several if it is an average."""
    plans = [run.plan for run in path]
    has_average = any(plan.members for plan in plans)
    found = [plan for plan in plans if plan.parent is None and not plan.members]
    roots = found if has_average and found else plans[:1]
    return [root.initial_checkpoint or root.run_dir for root in roots]


def check_distinct(arms: Sequence[Arm]) -> None:
    """Raises ValueError if two variants end in one run: their scores are not independent."""
    for first, second in itertools.combinations(arms, 2):
        if share_a_run(first, second):
            raise ValueError(f"{first.variant} and {second.variant} end in the same runs")


def share_a_run(ours: Arm, baseline: Arm) -> bool:
    """Returns whether two variants end in the same run, as every variant and itself do."""
    return bool(
        {run.plan.run_dir for run in ours.runs} & {run.plan.run_dir for run in baseline.runs}
    )


def compared_together(config: ContrastConfig, arms: Sequence[Arm]) -> list[int]:
    """Returns which arms are compared replicate by replicate, as a group of each.

    Two variants only where that is registered: without it, what they share makes the interval of
    their difference too wide. With weights of one sign it would make it too narrow.
    """
    if config.is_paired:
        return [0] * len(arms)
    if config.weights:
        return groups_of([arm.ancestors for arm in arms])
    return list(range(len(arms)))


def with_common_replicates(arms: Sequence[Arm], groups: Sequence[int]) -> list[Arm]:
    """Returns of each arm the replicates that all arms of its group have.

    Raises:
      ValueError: there are none in a group.
    """
    found = list(arms)
    for group in set(groups):
        members = [i for i, one in enumerate(groups) if one == group]
        if len(members) == 1:
            continue
        places = sorted(set.intersection(*(set(arms[i].places) for i in members)))
        if not places:
            raise ValueError("no replicate was measured in every variant")
        for i in members:
            found[i] = arms[i].take(places)
    return found


def between(arms: Sequence[Arm]) -> Between:
    """Returns what a comparison of the arms is between.

    Runs of an arm that have something in common are one replicate, such as cooldowns of one trunk.
    If all runs of all arms share it, its spread is no part of the comparison.
    """
    return Between(
        tuple(len(set(labels)) for labels in replicates_of(arms)),
        is_from_one_checkpoint=is_from_one_checkpoint(arms),
    )


def is_from_one_checkpoint(arms: Sequence[Arm]) -> bool:
    """Returns whether all runs start from one checkpoint, and an arm has several of them."""
    starts = {start for arm in arms for start in arm.starts}
    return len(starts) == 1 and max(len(arm.runs) for arm in arms) > 1


def replicates_of(arms: Sequence[Arm]) -> list[list[str]]:
    """Returns the replicate that each run of each arm is of, in a comparison of these arms."""
    return independent_replicates([arm.ancestors for arm in arms])


def mean_over_replicates(arm: Arm) -> float:
    """Returns the mean score over independent replicates, each of which may have several runs."""
    of_replicate: dict[str, list[float]] = {}
    for label, value in zip(replicates_of([arm])[0], arm.values, strict=True):
        of_replicate.setdefault(label, []).append(value)
    means = [sum(values) / len(values) for values in of_replicate.values()]
    return sum(means) / len(means)


def check_same_evaluation(arms: Sequence[Arm]) -> None:
    """Checks that all runs were measured by the evaluation of the last arm's first run.

    Raises:
      ValueError: one was not.
    """
    last = arms[-1]
    expected = last.evaluations[0]
    reference = last.variant if len(last.runs) == 1 else last.runs[0].name
    for arm in arms:
        for run, evaluation in zip(arm.runs, arm.evaluations, strict=True):
            if evaluation.digest != expected.digest:
                what = differing(evaluation.identity, expected.identity)
                which = "" if len(arm.runs) == 1 else f"{run.name} "
                raise ValueError(f"{which}differs from {reference} in {what}")


def arm_scores(
    arm: Arm,
    read: ScoresReader,
    *,
    replicates: Sequence[str] | None = None,
    is_checked: bool = True,
) -> ArmScores | None:
    """Returns the scores of all replicates, None if those of one were not kept.

    Args:
      replicates: of each run, from `replicates_of`: those of one are averaged. None: those that
        have a common start.
      is_checked: whether the scores must have the mean that was recorded as the metric.

    Raises:
      ValueError: the replicates have different items, or scores that are not those of their
        metrics.
    """
    every = [read(of).get(arm.row.name) for of in arm.evaluations]  # `read` names each lost one
    found: list[PairedScores] = []
    for run, scores, metric in zip(arm.runs, every, arm.metrics, strict=True):
        if scores is None:
            return None
        if is_checked:
            _check_value(run, arm.row, scores, metric)
        found.append(scores if not found else aligned(found[0], scores))
    scored = stacked(found, is_fraction=arm.row.is_percentage)
    labels = arm.starts if replicates is None else replicates
    if len(set(labels)) < len(labels):
        return averaged_over_trunks(scored, labels)
    return scored


def _check_value(run: RunResults, row: MetricRow, scores: PairedScores, metric: Metric) -> None:
    value = float(scores.values.sum() / scores.filled_weights.sum())
    if math.isnan(value) and math.isnan(metric.value):
        return
    if not math.isclose(value, metric.value, rel_tol=1e-4, abs_tol=1e-6):
        raise ValueError(
            f"{run.name}: the item scores of {row.name} have a mean of {value:.6g} and the metric "
            f"is {metric.value:.6g}: the kept items are not those of this evaluation"
        )
