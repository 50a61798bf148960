"""The scores of the arms of a contrast.

Terms:
  arm: a variant at one checkpoint, trained several times.
  replicate: one of these runs, with its own seeds.
  item: what is scored, such as a question or a document.
  cluster: the independently sampled unit, such as the passage of several questions.
  stratum: a group of items whose share of the whole is known, such as a source of an average.

S replicates, I items.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from codepretrain.inference.pairing import check_groups, places_of


@dataclass(frozen=True, kw_only=True)
class ArmScores:
    """Scores of one arm; the metric of a replicate is Σ values / Σ weights over items.

    Attributes:
      ids: [I], what identifies an item; arms are paired by it, in any order.
      clusters: [I], the cluster of each item.
      strata: [I], the stratum of each item, None for one stratum.
      values: [S, I] float64, in the unit of the metric.
      weights: [S, I] float64, None where every item has weight one.
      item_range: the largest possible difference between two models' values of an item of weight
        one: 1 for an accuracy. An array [I] where items differ in it. None where there is no bound;
        where None is given, values that are all 0 or 1 and have no weights have a range of 1.
        Needed where models agree on nearly all items (`matched_pairs.py`).
    """

    ids: Sequence[str]
    clusters: Sequence[str]
    values: np.ndarray
    weights: np.ndarray | None = None
    strata: np.ndarray | None = None
    item_range: float | np.ndarray | None = None

    def __post_init__(self) -> None:
        values = np.asarray(self.values, np.float64)
        if values.ndim != 2 or values.shape[1] != len(self.ids) or not values.size:
            raise ValueError(
                f"values: expected [replicates, {len(self.ids)} items], found {values.shape}"
            )
        ranges = self.item_range if isinstance(self.item_range, np.ndarray) else None
        columns = {"clusters": self.clusters, "strata": self.strata, "item_range": ranges}
        for name, column in columns.items():
            if column is not None and len(column) != len(self.ids):
                raise ValueError(f"{name}: expected {len(self.ids)} entries, found {len(column)}")
        if len(set(self.ids)) < len(self.ids):
            raise ValueError("ids: expected distinct items, found an id more than once")
        object.__setattr__(self, "values", values)
        if self.weights is not None:
            weights = np.asarray(self.weights, np.float64)
            if weights.shape != values.shape:
                raise ValueError(f"weights: expected {values.shape}, found {weights.shape}")
            if (weights < 0).any():
                raise ValueError("weights: expected no negative value")
            object.__setattr__(self, "weights", weights)
        elif self.item_range is None and np.isin(values, (0, 1)).all():
            object.__setattr__(self, "item_range", 1.0)

    @property
    def num_replicates(self) -> int:
        return int(self.values.shape[0])

    @property
    def filled_weights(self) -> np.ndarray:
        """Returns the weights, ones where there are none: [S, I]."""
        return np.ones_like(self.values) if self.weights is None else self.weights

    @property
    def filled_strata(self) -> np.ndarray:
        """Returns the strata, zeros where there are none: [I]."""
        return np.zeros(len(self.ids)) if self.strata is None else np.asarray(self.strata)

    @property
    def metrics(self) -> np.ndarray:
        """Returns the metric of each replicate: [S]."""
        return np.asarray(self.values.sum(axis=1) / self.filled_weights.sum(axis=1))

    def take(self, places: np.ndarray) -> "ArmScores":
        """Returns the items at some places, in their order."""
        return replace(
            self,
            ids=[self.ids[place] for place in places],
            clusters=[self.clusters[place] for place in places],
            values=self.values[:, places],
            weights=None if self.weights is None else self.weights[:, places],
            strata=None if self.strata is None else np.asarray(self.strata)[places],
            item_range=_taken(self.item_range, places),
        )


def _taken(item_range: float | np.ndarray | None, places: np.ndarray) -> float | np.ndarray | None:
    """Returns the ranges of the items at some places."""
    return item_range[places] if isinstance(item_range, np.ndarray) else item_range


def aligned(arms: Sequence[ArmScores], names: Sequence[str] | None = None) -> list[ArmScores]:
    """Returns the arms with their items in the order of the first arm.

    Args:
      names: of the arms, for messages.

    Raises:
      ValueError: the arms have different items, or place one in different clusters or strata.
    """
    first = arms[0]
    found = [first]
    for place, arm in enumerate(arms[1:], start=1):
        named = names[place] if names else f"arm {place}"
        arm = arm.take(places_of(first.ids, arm.ids, named=named))
        check_groups(
            first.clusters, arm.clusters, first.filled_strata, arm.filled_strata, named=named
        )
        found.append(arm)
    return found


def averaged_over_trunks(arm: ArmScores, trunks: Sequence[str]) -> ArmScores:
    """Returns one replicate for each trunk: the mean of the runs that branch from it.

    Cooldowns of one trunk share its seeds, so that they are not independent: the trunks are the
    replicates. Trunks are in the order of their first run.

    Args:
      trunks: [S], the trunk of each replicate.
    """
    if len(trunks) != arm.num_replicates:
        raise ValueError(f"trunks: expected {arm.num_replicates} entries, found {len(trunks)}")
    groups = [[i for i, one in enumerate(trunks) if one == name] for name in dict.fromkeys(trunks)]
    totals = arm.filled_weights.sum(axis=1, keepdims=True)
    # Runs count equally whatever their total weight, so that ratios are averaged.
    values, weights = arm.values / totals, arm.filled_weights / totals
    size = float(totals.mean())
    means = [
        np.stack([of[rows].mean(axis=0) for rows in groups]) * size for of in (values, weights)
    ]
    return replace(arm, values=means[0], weights=None if arm.weights is None else means[1])
