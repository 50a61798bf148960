"""The registered contrasts of a study, decided with the replicates that there are.

A contrast is between recipes if every arm has at least two replicates. Then runs and items are
crossed (`inference/crossed.py`), and its p-values are corrected over its family for differences and
equivalences together (`inference/families.py`). The family is as registered: a contrast that cannot
be decided counts with p = 1, so that a report of a part of the runs is not more lenient than the
last one. With one replicate in an arm the difference of the checkpoints is told, undecided.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from codepretrain.config.schema import ContrastConfig
from codepretrain.inference.crossed import contrast
from codepretrain.inference.equivalence import Equivalence, equivalence
from codepretrain.inference.estimate import Estimate
from codepretrain.inference.families import adjusted_with_equivalence
from codepretrain.inference.interval import CONFIDENCE
from codepretrain.inference.scores import ArmScores
from codepretrain.report.arms import (
    Arm,
    ScoresReader,
    between,
    check_same_evaluation,
    compared_together,
    find_arm,
    share_a_run,
    with_common_replicates,
)
from codepretrain.report.averaged import Averaged
from codepretrain.report.averages import METRIC
from codepretrain.report.between import TWO_CHECKPOINTS, Between
from codepretrain.report.cells import MetricRow, within_bounds
from codepretrain.report.collect import StudyResults
from codepretrain.report.compare import metric_rows
from codepretrain.report.contrast_effects import NO_EFFECTS, Effects, effects_of
from codepretrain.report.differences import Reader, scores_of, two_checkpoints
from codepretrain.report.evaluations import read_scores
from codepretrain.report.statistics import UNBOUNDED, Difference, Interval

ALPHA = 1 - CONFIDENCE

Decision = Literal["confirmed", "opposite", "equivalent", "inconclusive", "not decided"]


@dataclass(frozen=True, kw_only=True)
class ContrastResult:
    """A contrast as it is known now.

    Attributes:
      row: what it is of; None if nothing measured it.
      arms: in the order of the weights; empty if one is missing.
      arm_intervals: of the mean of each arm.
      estimate: of recipes; None between checkpoints.
      p_value: of the registered hypothesis: two-sided for a difference, of two one-sided tests for
        equivalence; before the correction. None where nothing is decided.
      adjusted_p: after the correction over the family.
      equivalence: within ±margin, where there is one; its p-value is after the same correction.
      missing: why there is no value.
    """

    name: str
    config: ContrastConfig
    row: MetricRow | None = None
    arms: tuple[Arm, ...] = ()
    arm_intervals: tuple[Interval, ...] = ()
    between: Between = TWO_CHECKPOINTS
    value: float = math.nan
    interval: Interval = UNBOUNDED
    method: str = ""
    num_items: int = 0
    estimate: Estimate | None = None
    p_value: float | None = None
    adjusted_p: float | None = None
    equivalence: Equivalence | None = None
    effects: Effects = NO_EFFECTS
    missing: str = ""

    @property
    def between_text(self) -> str:
        """What it is between, and whether replicate k is compared with replicate k."""
        is_paired = self.estimate is not None and self.estimate.is_paired
        return f"{self.between.text}, paired" if is_paired else self.between.text

    @property
    def decision(self) -> Decision:
        """What the runs decide about the registered hypothesis."""
        if self.adjusted_p is None:
            return "not decided"
        is_found = self.adjusted_p < ALPHA
        direction = self.config.direction
        if direction == "equivalent":
            return "equivalent" if is_found else "inconclusive"
        if is_found:
            sign = "higher" if self.value > 0 else "lower"
            return "confirmed" if direction in ("different", sign) else "opposite"
        is_equivalent = self.equivalence is not None and self.equivalence.p_value < ALPHA
        return "equivalent" if is_equivalent else "inconclusive"

    def to_json(self) -> dict[str, Any]:
        """Returns the numbers, with the runs that they are of."""
        return {
            "contrast": self.name,
            "metric": self.config.metric,
            "weights": self.config.arms,
            "direction": self.config.direction,
            "margin": self.config.margin,
            "family": self.config.family,
            "between": self.between_text if self.arms else None,
            "decision": self.decision,
            "value": self.value,
            "interval": self.interval,
            "unit": self.row.unit if self.row else None,
            "p_value": self.p_value,
            "adjusted_p": self.adjusted_p,
            "equivalence": self.equivalence,
            "estimate": self.estimate,
            "method": self.method,
            "num_items": self.num_items,
            "effects": self.effects,
            "arms": [
                {
                    "variant": arm.variant,
                    "runs": [run.name for run in arm.runs],
                    "values": arm.values,
                    "step": arm.evaluations[0].step,
                    "digest": arm.evaluations[0].digest,
                }
                for arm in self.arms
            ],
            "missing": self.missing,
        }


@dataclass(frozen=True)
class _Source:
    """Where the scores of a metric are: the study's evaluations, or its averages."""

    results: StudyResults
    row: MetricRow | None
    read: ScoresReader
    read_centered: ScoresReader | None


def decide_contrasts(
    results: StudyResults, averages: Averaged | None, problems: list[str]
) -> tuple[ContrastResult, ...]:
    """Returns the study's registered contrasts, in its order.

    Args:
      averages: those of the study, None if it has none.
      problems: gets a line for every file of item scores that is damaged.
    """
    reader = Reader(read_scores, problems)
    found = [
        _estimate(name, config, _source(config.metric, results, averages, reader))
        for name, config in results.spec.contrasts.items()
    ]
    families: dict[str, list[ContrastResult]] = {}
    for one in found:
        families.setdefault(one.config.family, []).append(one)
    corrected = {one.name: one for of in families.values() for one in _corrected(of)}
    return tuple(corrected[name] for name in results.spec.contrasts)


def _source(
    metric: str, results: StudyResults, averages: Averaged | None, reader: Reader
) -> _Source:
    of_averages = results.spec.averages
    if averages is not None and metric in {**of_averages.categories, **of_averages.totals}:
        read = averages.averages.read
        row = _row(averages.results, metric, METRIC)
        return _Source(averages.results, row, read, partial(read, is_centered=True))
    evaluator, _, name = metric.partition("/")
    return _Source(results, _row(results, evaluator, name), reader.of, None)


def _row(results: StudyResults, evaluator: str, name: str) -> MetricRow | None:
    rows = [row for row in metric_rows(results) if (row.evaluator, row.name) == (evaluator, name)]
    return rows[0] if rows else None


def _estimate(name: str, config: ContrastConfig, source: _Source) -> ContrastResult:
    """Returns the contrast before the correction for others."""
    if source.row is None:
        missing = f"{config.metric} was not measured"
        return ContrastResult(name=name, config=config, missing=missing)
    found = {v: find_arm(source.results, v, source.row) for v in config.arms}
    arms = [arm for arm in found.values() if arm is not None]
    result = ContrastResult(name=name, config=config, row=source.row)
    if len(arms) < len(found):
        absent = ", ".join(variant for variant, arm in found.items() if arm is None)
        return replace(result, missing=f"not measured: {absent}")
    try:
        _check_distinct(arms)
        groups = compared_together(config, arms)
        arms = with_common_replicates(arms, groups)
        check_same_evaluation(arms)
        scores = scores_of(arms, source.read)
    except ValueError as error:
        return replace(result, missing=str(error))
    if scores is None:
        return replace(result, missing="the item scores of a run are missing")
    weights = list(config.arms.values())
    result = replace(
        result,
        arms=tuple(arms),
        arm_intervals=tuple(within_bounds(source.row, _mean_interval(arm)) for arm in scores),
        between=between(arms),
    )
    if not result.between.are_recipes:
        return _of_checkpoints(result, source.read, scores, weights)
    estimate = contrast(scores, weights, is_paired=config.is_paired, groups=groups)
    margin = equivalence(estimate, config.margin) if config.margin is not None else None
    is_equivalence = config.direction == "equivalent" and margin is not None
    return replace(
        _with_value(result, estimate),
        estimate=estimate,
        p_value=margin.p_value if is_equivalence and margin else estimate.p_value,
        equivalence=margin,
        effects=effects_of(arms, scores, estimate, config, groups, source.read_centered),
    )


def _mean_interval(arm: ArmScores) -> Interval:
    has_replicates = arm.num_replicates > 1
    return contrast([arm], [1.0], between="recipes" if has_replicates else "checkpoints").interval


def _check_distinct(arms: Sequence[Arm]) -> None:
    """Raises ValueError if two variants end in one run: their scores are not independent."""
    for first, second in itertools.combinations(arms, 2):
        if share_a_run(first, second):
            raise ValueError(f"{first.variant} and {second.variant} end in the same runs")


def _of_checkpoints(
    result: ContrastResult,
    read: ScoresReader,
    scores: Sequence[ArmScores],
    weights: Sequence[float],
) -> ContrastResult:
    """Returns the difference of the checkpoints, which decides nothing about recipes."""
    if result.config.variants and all(len(arm.runs) == 1 for arm in result.arms):
        difference = two_checkpoints(result.arms[0], result.arms[1], read)
        assert difference is not None, "the scores were read"
        return _with_value(result, difference)
    return _with_value(result, contrast(scores, weights, between="checkpoints"))


def _with_value(result: ContrastResult, found: Estimate | Difference) -> ContrastResult:
    return replace(
        result,
        value=found.value,
        interval=found.interval,
        method=found.method,
        num_items=found.num_items,
    )


def _corrected(family: Sequence[ContrastResult]) -> list[ContrastResult]:
    """Returns the contrasts of a family with p-values for one statement over all its findings.

    What is not decided counts as 1, in each of the hypotheses that it was registered for.
    """
    is_difference = {one.name: one.config.direction != "equivalent" for one in family}
    differences = {r.name: _or_one(r.p_value) if is_difference[r.name] else None for r in family}
    margins = {
        r.name: _or_one(r.equivalence.p_value if r.equivalence else None)
        if r.config.margin is not None
        else None
        for r in family
    }
    different, within = adjusted_with_equivalence(differences, margins)
    return [
        one
        if one.p_value is None
        else replace(
            one,
            adjusted_p=(different if is_difference[one.name] else within)[one.name],
            equivalence=replace(one.equivalence, p_value=_or_one(within[one.name]))
            if one.equivalence
            else None,
        )
        for one in family
    ]


def _or_one(p_value: float | None) -> float:
    return 1.0 if p_value is None else p_value
