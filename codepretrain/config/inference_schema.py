"""The config fields that conclusions about recipes rest on. Standard library only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


def _empty() -> Mapping:
    return MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class ReplicateConfig:
    """One training of the study's phases among several that differ in their seeds alone.

    `initialization_seed` is that of the random parameters, `data_order_seed` that of the order in
    which the rows of every source are read.
    """

    initialization_seed: int
    data_order_seed: int


@dataclass(frozen=True, kw_only=True)
class ContrastConfig:
    """A hypothesis about the recipes of variants, registered before they are trained.

    The contrast is the score of the first of two `variants` minus that of the second, or the sum of
    scores times `weights` (of a dose trend or a factorial; they sum to 0), at the end of the
    variants. `metric` is a category or a total of `averages`, `<evaluation>/<metric>`, or
    `<evaluation>` for its only primary metric. `direction` is the hypothesis: that the contrast is
    "higher" or "lower" than 0, "different" from 0, "equivalent" to 0 within `margin`, or
    "not_higher" or "not_lower" by `margin` or more, as of a guard. `question` is what it answers,
    in a reader's words: "Is it worth …?", where a confirmed hypothesis is a yes. `margin`
    is the smallest effect of interest, `published_effect` what a paper found and `published_score`
    its score of the second variant; all are in the unit of the metric: 0.01 is one point of an
    accuracy. Contrasts of one `family` are corrected together for their number. `is_paired`
    compares replicate k with replicate k, which have the same seeds. `run_correlation` is an
    assumption of `plan --power` alone: the correlation between replicates k of variants that are
    compared replicate by replicate, because they are paired or, with `weights`, share a trunk.
    `is_control` marks a contrast that should show nothing, or that could explain an effect away:
    scrambled code, more Python, text alone for as long. The report has controls in a section of
    their own; they are decided and corrected like the others of their family.
    """

    metric: str
    direction: str
    variants: tuple[str, ...] = ()
    weights: Mapping[str, float] = field(default_factory=_empty)
    margin: float | None = None
    published_effect: float | None = None
    published_score: float | None = None
    family: str = "main"
    is_paired: bool = False
    run_correlation: float | None = None
    question: str | None = None
    is_control: bool = False

    @property
    def arms(self) -> dict[str, float]:
        """The weight of each variant: 1 and -1 for a difference."""
        return dict(self.weights or zip(self.variants, (1.0, -1.0), strict=True))

    @property
    def guarded(self) -> str | None:
        """The side on which a guard's margin is: "higher" for "not_higher"; None for others."""
        found = self.direction.removeprefix("not_")
        return found if found != self.direction else None
