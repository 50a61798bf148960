"""The design of a contrast as the report will decide it, for `inference/power.py`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from codepretrain.config.schema import ContrastConfig
from codepretrain.inference.power import Design
from codepretrain.inference.shared_runs import factor_of_correlation, groups_of, largest_factor
from codepretrain.study.replication import Replication
from codepretrain.study.spreads import Spread


@dataclass(frozen=True)
class Layout:
    """What is observed together in a contrast.

    Attributes:
      sets: the places of arms whose replicates k are one observation; a set for each other arm.
      weights: of the arms.
      paths: the runs of each arm in the first replicate.
    """

    sets: tuple[tuple[int, ...], ...]
    weights: tuple[float, ...]
    paths: tuple[frozenset[str], ...]

    @property
    def item_factor(self) -> float:
        """What the variance of the items of one arm is multiplied by; 2 for a difference.

        Arms that share a trunk may share what it does to items: as much as weighs most.
        """
        return largest_factor(self.weights, self.paths)

    def squared_weights(self) -> list[float]:
        """Returns the sum of squared weights of each set."""
        return [sum(self.weights[place] ** 2 for place in of) for of in self.sets]

    def run_factors(self, correlation: float | None) -> list[float]:
        """Returns what the variance between runs of one arm is multiplied by, for each set.

        Args:
          correlation: between the runs of one replicate; None for what weighs most.
        """
        found = []
        for members in self.sets:
            weights = [self.weights[place] for place in members]
            found.append(
                largest_factor(weights, [self.paths[place] for place in members])
                if correlation is None
                else factor_of_correlation(weights, correlation)
            )
        return found


def layout(
    contrast: ContrastConfig, paths: Sequence[frozenset[str]], groups: Sequence[int]
) -> Layout:
    """Returns the layout of a contrast whose arms are compared in groups."""
    sets = [tuple(i for i, of in enumerate(groups) if of == one) for one in dict.fromkeys(groups)]
    return Layout(tuple(sets), tuple(contrast.arms.values()), tuple(paths))


def planned_layout(contrast: ContrastConfig, runs: Replication) -> Layout:
    """Returns the layout that the report will find when all runs are there (`report/arms.py`)."""
    arms = [runs.ancestors[variant] for variant in contrast.arms]
    groups = list(range(len(arms)))
    if contrast.is_paired:
        groups = [0] * len(arms)
    elif contrast.weights:
        groups = groups_of(arms)
    return layout(contrast, [arm[0] for arm in arms], groups)


def item_error(of: Layout, spread: Spread) -> float:
    """Returns the items' part of the error of the contrast, 0 where it is unknown."""
    return math.sqrt(of.item_factor / 2) * spread.item.value if spread.item else 0.0


def design(of: Layout, spread: Spread, numbers: Sequence[int]) -> Design:
    """Returns the design of a contrast.

    Args:
      numbers: of replicates of each arm; those of a set are as many as its arms have in common.
    """
    assert spread.run is not None
    correlation = spread.correlation.value if spread.correlation else None
    squares = of.squared_weights()
    run = spread.run.value
    return Design(
        num_replicates=tuple(min(numbers[place] for place in members) for members in of.sets),
        run_sd=tuple(
            run * math.sqrt(factor / square)
            for factor, square in zip(of.run_factors(correlation), squares, strict=True)
        ),
        item_error=item_error(of, spread),
        item_freedom=spread.item_freedom,
        rest_sd=spread.rest_sd,
        weights=tuple(map(math.sqrt, squares)),
    )
