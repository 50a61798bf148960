"""Scores of runs × items × clusters with effects that are known.

On a scale where a run's score of an item is

    effect of the arm + run + difficulty of cluster and item + cluster × arm
      + run × cluster + run × item

continuous scores are the sum itself; binary ones are 1 with the probability Φ(sum), so that the
true mean of an arm is Φ(mean / √(1 + variance)) and an integral over runs; weighted ones are the
sum times a log-normal weight, as nats and bytes of documents.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special, stats

from codepretrain.inference.scores import ArmScores

_QUANTILES = (np.arange(20_001) + 0.5) / 20_001


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What is drawn; standard deviations are on the scale of the sum above.

    Attributes:
      effects: of the arms.
      run_sd: between the replicates of each arm, the same for all if there is one.
      run_freedom: degrees of freedom of the runs' t distribution, None for normal runs.
      run_correlation: between replicates k of all arms.
      are_unequal: whether clusters are of 1 to about 20 items, else of `cluster_size`.
    """

    kind: Literal["continuous", "binary", "weighted"] = "continuous"
    num_replicates: tuple[int, ...] = (3, 3)
    effects: tuple[float, ...] = (0.0, 0.0)
    num_clusters: int = 100
    cluster_size: int = 1
    are_unequal: bool = False
    run_sd: tuple[float, ...] = (0.1,)
    run_freedom: float | None = None
    run_correlation: float = 0.0
    difficulty_sd: float = 1.0
    cluster_sd: float = 0.5
    arm_sd: float = 0.3
    rest_sd: float = 0.3
    noise_sd: float = 0.5

    @property
    def spreads(self) -> tuple[float, ...]:
        return self.run_sd if len(self.run_sd) > 1 else self.run_sd * len(self.effects)

    def means(self) -> np.ndarray:
        """Returns the true mean of each arm over runs and items."""
        if self.kind != "binary":
            return np.array(self.effects)
        variance = self.difficulty_sd**2 + self.cluster_sd**2 + self.arm_sd**2
        variance += self.rest_sd**2 + self.noise_sd**2
        runs = _quantiles(self.run_freedom)
        return np.array(
            [
                special.ndtr((effect + spread * runs) / np.sqrt(1 + variance)).mean()
                for effect, spread in zip(self.effects, self.spreads, strict=True)
            ]
        )

    def draw(
        self, rng: np.random.Generator, runs: Sequence[np.ndarray] | None = None
    ) -> list[ArmScores]:
        """Returns the scores of each arm; clusters and items are new.

        Args:
          runs: of each arm, [S], where another task has the same; drawn where there are none.
        """
        runs = self.draw_runs(rng) if runs is None else runs
        sizes = np.full(self.num_clusters, self.cluster_size)
        if self.are_unequal:
            sizes = np.minimum(1 + rng.lognormal(0.7, 1.0, self.num_clusters).astype(int), 30)
        cluster_of = np.repeat(np.arange(self.num_clusters), sizes)
        num_items = len(cluster_of)
        difficulty = rng.normal(0, self.difficulty_sd, num_items)
        difficulty += rng.normal(0, self.cluster_sd, self.num_clusters)[cluster_of]
        weights = rng.lognormal(5, 1.0, num_items) if self.kind == "weighted" else None
        arms = []
        for effect, run in zip(self.effects, runs, strict=True):
            count = len(run)
            of_cluster = rng.normal(0, self.arm_sd, self.num_clusters)
            of_cluster = of_cluster + rng.normal(0, self.rest_sd, (count, self.num_clusters))
            score = effect + run[:, None] + difficulty + of_cluster[:, cluster_of]
            score += rng.normal(0, self.noise_sd, score.shape)
            arms.append(self._scores(rng, score, cluster_of, weights))
        return arms

    def draw_runs(self, rng: np.random.Generator) -> list[np.ndarray]:
        """Returns the effects of the replicates of each arm."""
        shared = self._runs(rng, max(self.num_replicates))
        own, common = np.sqrt(1 - self.run_correlation), np.sqrt(self.run_correlation)
        return [
            spread * (own * self._runs(rng, count) + common * shared[:count])
            for spread, count in zip(self.spreads, self.num_replicates, strict=True)
        ]

    def _runs(self, rng: np.random.Generator, count: int) -> np.ndarray:
        if self.run_freedom is None:
            return rng.normal(size=count)
        return rng.standard_t(self.run_freedom, count) / _scale(self.run_freedom)

    def _scores(
        self,
        rng: np.random.Generator,
        score: np.ndarray,
        cluster_of: np.ndarray,
        weights: np.ndarray | None,
    ) -> ArmScores:
        if self.kind == "binary":
            score = (rng.random(score.shape) < special.ndtr(score)).astype(float)
        return ArmScores(
            ids=_names(len(cluster_of)),
            clusters=np.array(_names(self.num_clusters), object)[cluster_of].tolist(),
            values=score if weights is None else score * weights,
            weights=None if weights is None else np.tile(weights, (len(score), 1)),
        )


def _scale(freedom: float) -> float:
    """Returns the standard deviation of t, so that heavy tails do not mean a larger spread."""
    return float(np.sqrt(freedom / (freedom - 2)))


def _quantiles(freedom: float | None) -> np.ndarray:
    if freedom is None:
        return np.asarray(special.ndtri(_QUANTILES))
    return np.asarray(stats.t.ppf(_QUANTILES, freedom)) / _scale(freedom)


@functools.cache
def _names(count: int) -> Sequence[str]:
    return [f"{number:05d}" for number in range(count)]
