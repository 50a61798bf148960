"""Contrasts of weighted means over tasks whose items differ and whose replicates are the same.

A run that is better on one task is often better on others, so the runs' part of the variance is
that of the replicates' weighted means. The items of different tasks are independent, so their parts
add.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from codepretrain.inference.linearized import Linearized, linearize
from codepretrain.inference.scores import ArmScores, aligned


def aggregate(
    tasks: Mapping[str, Sequence[ArmScores]], shares: Mapping[str, float] | None = None
) -> Linearized:
    """Returns the weighted mean over tasks of the scores of arms, for `linear_contrast`.

    Args:
      tasks: task → the scores of each arm, with the same arms and replicates in the same order.
      shares: task → its weight, scaled to sum to one; equal where there are none.

    Raises:
      ValueError: tasks with other arms or numbers of replicates, or shares of other tasks or that
        are not positive.
    """
    if not tasks:
        raise ValueError("tasks: expected at least one, found none")
    shares = dict.fromkeys(tasks, 1.0) if shares is None else shares
    if shares.keys() != tasks.keys():
        raise ValueError(
            f"shares: expected the tasks {', '.join(sorted(tasks))}; "
            f"found {', '.join(sorted(shares))}"
        )
    if not all(0 < share < math.inf for share in shares.values()):
        raise ValueError(f"shares: expected positive numbers, found {dict(shares)}")
    total = sum(shares.values())
    parts = {
        name: _scaled(linearize(aligned(arms)), name, shares[name] / total)
        for name, arms in tasks.items()
    }
    _check_same_replicates(parts)
    each = list(parts.values())
    return Linearized(
        values=tuple(
            np.sum(of_arm, axis=0) for of_arm in zip(*(one.values for one in each), strict=True)
        ),
        strata=tuple(stratum for one in each for stratum in one.strata),
        num_items=sum(one.num_items for one in each),
    )


def _scaled(scores: Linearized, task: str, share: float) -> Linearized:
    """Returns scores times a share, with clusters that are named by task."""
    strata = [
        replace(
            of,
            clusters=np.array([f"{task}/{name}" for name in of.clusters], object),
            errors=tuple(share * errors for errors in of.errors),
            share=share * of.share,
            items=of.items
            and replace(of.items, errors=tuple(share * errors for errors in of.items.errors)),
        )
        for of in scores.strata
    ]
    return Linearized(
        values=tuple(share * values for values in scores.values),
        strata=tuple(strata),
        num_items=scores.num_items,
    )


def _check_same_replicates(parts: Mapping[str, Linearized]) -> None:
    first, *others = parts
    for name in others:
        if parts[name].num_replicates != parts[first].num_replicates:
            raise ValueError(
                f"tasks: expected the replicates of {first}, {parts[first].num_replicates}, "
                f"found {parts[name].num_replicates} in {name}"
            )
