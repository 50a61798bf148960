"""A registered contrast as it is known now."""

import math
from dataclasses import dataclass
from typing import Any, Literal

from codepretrain.config.schema import ContrastConfig
from codepretrain.inference.equivalence import Equivalence
from codepretrain.inference.estimate import Estimate
from codepretrain.inference.interval import CONFIDENCE, UNBOUNDED, Interval
from codepretrain.report.arms import Arm
from codepretrain.report.between import TWO_CHECKPOINTS, Between
from codepretrain.report.cells import MetricRow
from codepretrain.report.contrast_effects import NO_EFFECTS, Effects

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
        equivalence, one-sided for a guard; before the correction. None where nothing is decided.
      adjusted_p: after the correction over the family.
      exceeded_p: that a guard's margin is exceeded: one-sided, after the same correction.
      equivalence: within ±margin, where there is one; its p-value is after the same correction.
      registered: "before" the results of its arms, "after" them, or "unknown".
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
    exceeded_p: float | None = None
    equivalence: Equivalence | None = None
    effects: Effects = NO_EFFECTS
    registered: str = "before"
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
        if self.config.guarded:
            is_exceeded = self.exceeded_p is not None and self.exceeded_p < ALPHA
            return "confirmed" if is_found else "opposite" if is_exceeded else "inconclusive"
        if is_found:
            sign = "higher" if self.value > 0 else "lower"
            return "confirmed" if direction in ("different", sign) else "opposite"
        is_equivalent = self.equivalence is not None and self.equivalence.p_value < ALPHA
        return "equivalent" if is_equivalent else "inconclusive"

    @property
    def decided_p(self) -> float | None:
        """The corrected p-value of what is decided; of the registered hypothesis, if nothing is."""
        if self.config.guarded and self.decision == "opposite":
            return self.exceeded_p
        if self.decision == "equivalent" and self.equivalence is not None:
            return self.equivalence.p_value
        return self.adjusted_p

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
            "exceeded_p": self.exceeded_p,
            "question": self.config.question,
            "is_control": self.config.is_control,
            "registered": self.registered,
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
