"""A contrast on other scales, and what it could have found: noise and power."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from codepretrain.config.schema import ContrastConfig
from codepretrain.inference import effects, power
from codepretrain.inference.crossed import Between, contrast
from codepretrain.inference.effects import Effect
from codepretrain.inference.estimate import Estimate
from codepretrain.inference.scores import ArmScores
from codepretrain.report.arms import Arm, ScoresReader, arm_scores, replicates_of


@dataclass(frozen=True, kw_only=True)
class Effects:
    """A contrast of recipes on other scales; None where a scale does not apply.

    Attributes:
      relative: to the baseline, with the interval of the logarithm of the ratio.
      chance_centered: with every score as (a - c) / (1 - c).
      run_sd: the standard deviation between replicates, pooled over arms.
      in_run_sds: the contrast over that.
      item_error: the standard error that is left with infinitely many replicates.
      detectable: the effect that these replicates find with a power of 80%.
      floor: the effect that infinitely many replicates would find.
    """

    relative: Effect | None = None
    chance_centered: Effect | None = None
    run_sd: Effect | None = None
    in_run_sds: float | None = None
    item_error: float | None = None
    detectable: float | None = None
    floor: float | None = None


NO_EFFECTS = Effects()


def effects_of(
    arms: Sequence[Arm],
    scores: Sequence[ArmScores],
    estimate: Estimate,
    config: ContrastConfig,
    groups: Sequence[int],
    read_centered: ScoresReader | None,
) -> Effects:
    """Returns the other scales of a contrast between recipes.

    Args:
      groups: of the arms; see `crossed.contrast`.
      read_centered: the item scores above chance of an average; None for a single evaluation,
        whose chance is in its metric.
    """
    spread = effects.run_spread(scores)
    is_difference = bool(config.variants)
    design = None
    if is_difference and math.isfinite(estimate.standard_error):
        counts = estimate.num_replicates
        # Equal arms of the harmonic mean have the same variance as these.
        design = power.design_of(estimate, max(2, round(len(counts) / sum(1 / n for n in counts))))
    return Effects(
        relative=relative(scores, is_paired=config.is_paired) if is_difference else None,
        chance_centered=_centered(arms, scores, config, groups, read_centered),
        run_sd=spread,
        in_run_sds=estimate.value / spread.value if is_difference and spread.value > 0 else None,
        item_error=design.item_error if design else None,
        detectable=power.minimum_detectable_effect(design) if design else None,
        floor=power.floor(design.item_error) if design else None,
    )


def relative(scores: Sequence[ArmScores], *, is_paired: bool = False) -> Effect | None:
    """Returns the relative difference of two arms if both means are certainly above 0.

    Otherwise the logarithm of the ratio is not nearly normal. With one replicate in an arm it is
    that of the checkpoints.
    """
    are_recipes = min(arm.num_replicates for arm in scores) > 1
    between: Between = "recipes" if are_recipes else "checkpoints"
    for arm in scores:
        of_arm: Between = "recipes" if arm.num_replicates > 1 else "checkpoints"
        if not contrast([arm], [1.0], between=of_arm).interval.low > 0:
            return None
    return effects.relative_difference(scores[0], scores[1], is_paired=is_paired, between=between)


def _centered(
    arms: Sequence[Arm],
    scores: Sequence[ArmScores],
    config: ContrastConfig,
    groups: Sequence[int],
    read_centered: ScoresReader | None,
) -> Effect | None:
    chance = arms[0].metrics[0].null_value
    if not arms[0].row.is_percentage or not chance:
        return None
    if read_centered is None:
        centered = [effects.chance_centered(arm, chance) for arm in scores]
    else:
        read = [
            arm_scores(arm, read_centered, replicates=labels, is_checked=False)
            for arm, labels in zip(arms, replicates_of(arms), strict=True)
        ]
        centered = [arm for arm in read if arm is not None]
        if len(centered) < len(arms):
            return None
    estimate = contrast(
        centered, list(config.arms.values()), is_paired=config.is_paired, groups=groups
    )
    return Effect(estimate.value, estimate.interval)
