"""Scores of variants that branch from each other, with effects that are known.

What varies between replicates, and what a recipe does to items, arises in the phases of a path:

    score of a run = effect of the arm + Σ over its phases (run + phase × item) + difficulty of the
                     item + run × item

so variants share what arose in the phases that they share.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from codepretrain.inference.scores import ArmScores

# The factorial of experiments/recipes.py: init, continued, cooldown.
FACTORIAL = {cell: (cell[:1], cell[:2], cell) for cell in map("".join, product("tc", repeat=3))}


def main_effect(stage: int) -> dict[str, float]:
    """Returns the weights of the main effect of code in a stage of the factorial."""
    return {cell: 0.25 if cell[stage] == "c" else -0.25 for cell in FACTORIAL}


@dataclass(frozen=True, kw_only=True)
class Tree:
    """What is drawn.

    Attributes:
      paths: arm → its phases, from the first.
      shares: of the variances of runs and of recipe × item, that arise in each place of a path.
      run_sd: between runs of one recipe.
      item_sd: of recipe × item.
      noise_sd: of run × item.
    """

    paths: Mapping[str, Sequence[str]]
    shares: Sequence[float]
    num_replicates: int
    run_sd: float = 0.1
    item_sd: float = 0.3
    noise_sd: float = 0.3
    num_items: int = 100

    def draw(self, rng: np.random.Generator, effects: Mapping[str, float]) -> list[ArmScores]:
        """Returns the scores of each arm, in the order of `paths`."""
        difficulty = rng.normal(0, 1, self.num_items)
        phases: dict[str, np.ndarray] = {}
        for path in self.paths.values():
            for phase, share in zip(path, self.shares, strict=True):
                if phase not in phases:
                    runs = rng.normal(0, self.run_sd * share**0.5, (self.num_replicates, 1))
                    phases[phase] = runs + rng.normal(0, self.item_sd * share**0.5, self.num_items)
        names = [f"{number:04d}" for number in range(self.num_items)]
        arms = []
        for arm, path in self.paths.items():
            score = effects.get(arm, 0.0) + difficulty + sum(phases[phase] for phase in path)
            score += rng.normal(0, self.noise_sd, score.shape)
            arms.append(ArmScores(ids=names, clusters=names, values=score))
        return arms

    def ancestors(self, arm: str) -> tuple[frozenset[str], ...]:
        """Returns the runs of each replicate of an arm."""
        return tuple(
            frozenset(f"{phase}-r{k}" for phase in self.paths[arm])
            for k in range(self.num_replicates)
        )
