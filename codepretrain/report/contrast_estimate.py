"""The value of a contrast, before the correction for others of its family."""

from collections.abc import Mapping
from dataclasses import replace

from codepretrain.config.schema import ContrastConfig
from codepretrain.inference.crossed import contrast
from codepretrain.inference.equivalence import equivalence, guard_p_values
from codepretrain.inference.estimate import Estimate
from codepretrain.inference.interval import Interval
from codepretrain.inference.scores import ArmScores
from codepretrain.report.arms import (
    Arm,
    ScoresReader,
    between,
    check_distinct,
    check_same_evaluation,
    compared_together,
    with_common_replicates,
)
from codepretrain.report.cells import MetricRow, within_bounds
from codepretrain.report.contrast_effects import effects_of
from codepretrain.report.contrast_result import ContrastResult
from codepretrain.report.differences import scores_of


def estimate_contrast(
    name: str,
    config: ContrastConfig,
    row: MetricRow,
    found: Mapping[str, Arm | None],
    read: ScoresReader,
    read_centered: ScoresReader | None = None,
) -> ContrastResult:
    """Returns a contrast of the metric `row`, without a correction for others.

    Args:
      found: the arms of its variants, None for one that was not measured.
      read: the item scores of an evaluation.
      read_centered: those above chance of an average; see `effects_of`.
    """
    arms = [arm for arm in found.values() if arm is not None]
    result = ContrastResult(name=name, config=config, row=row)
    if len(arms) < len(found):
        absent = ", ".join(variant for variant, arm in found.items() if arm is None)
        return replace(result, missing=f"not measured: {absent}")
    try:
        check_distinct(arms)
        groups = compared_together(config, arms)
        arms = with_common_replicates(arms, groups)
        check_same_evaluation(arms)
        scores = scores_of(arms, read)
    except ValueError as error:
        return replace(result, missing=str(error))
    if scores is None:
        return replace(result, missing="the item scores of a run are missing")
    weights = list(config.arms.values())
    result = replace(
        result,
        arms=tuple(arms),
        arm_intervals=tuple(within_bounds(row, _mean_interval(arm)) for arm in scores),
        between=between(arms),
    )
    if not result.between.are_recipes:
        return _with_value(result, contrast(scores, weights, between="checkpoints"))
    estimate = contrast(scores, weights, is_paired=config.is_paired, groups=groups)
    margin, kept, exceeded = None, None, None
    if config.guarded and config.margin is not None:
        kept, exceeded = guard_p_values(estimate, config.margin, side=config.guarded)
    elif config.margin is not None:
        margin = equivalence(estimate, config.margin)
    is_equivalence = config.direction == "equivalent" and margin is not None
    of_hypothesis = margin.p_value if is_equivalence and margin else estimate.p_value
    return replace(
        _with_value(result, estimate),
        estimate=estimate,
        p_value=of_hypothesis if kept is None else kept,
        exceeded_p=exceeded,
        equivalence=margin,
        effects=effects_of(arms, scores, estimate, config, groups, read_centered),
    )


def _mean_interval(arm: ArmScores) -> Interval:
    has_replicates = arm.num_replicates > 1
    return contrast([arm], [1.0], between="recipes" if has_replicates else "checkpoints").interval


def _with_value(result: ContrastResult, found: Estimate) -> ContrastResult:
    return replace(
        result,
        value=found.value,
        interval=found.interval,
        method=found.method,
        num_items=found.num_items,
    )
