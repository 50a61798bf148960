"""The multibootstrap: runs and clusters of items are both resampled, as a check of `crossed.py`.

Each resample draws the replicates of every arm and the clusters of items with replacement.
The statistic is studentized, |estimate* - estimate| / error*, with the variance of `variance.py`
computed in each resample: the percentile interval of few replicates is too narrow, by √((S - 1)/S),
and its p-value has a floor of 2/(R + 1). From 5 replicates: with fewer, too many resamples have one
run several times and no other.

Source: Sellam et al. 2022, "The MultiBERTs" (google-research, multibootstrap), for the resampling;
Efron & Tibshirani 1993, ch. 12, for the statistic. The errors over clusters are those of
`linearized.py`, not those of ratios computed anew.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from codepretrain.inference.crossed import IndependentSet, independent_sets, linear_contrast
from codepretrain.inference.estimate import Estimate
from codepretrain.inference.interval import CONFIDENCE, Interval
from codepretrain.inference.linearized import Linearized, linearize, over_clusters
from codepretrain.inference.scores import ArmScores, aligned
from codepretrain.inference.variance import combined

_METHOD = "multibootstrap, studentized"
_MIN_REPLICATES = 5
_CHUNK = 4_000_000  # elements of the largest array


def multibootstrap(
    arms: Sequence[ArmScores],
    weights: Sequence[float] | np.ndarray,
    *,
    is_paired: bool = False,
    num_resamples: int = 2_000,
    seed: int = 0,
) -> Estimate:
    """Returns the contrast of `crossed.contrast` with the interval and p-value of the bootstrap.

    Where the standard error is unknown (no spread at all, or a single cluster), the interval is
    unbounded and p is 1, as there.

    Raises:
      ValueError: an arm has fewer than 5 replicates.
    """
    scores = linearize(aligned(arms))
    if min(scores.num_replicates) < _MIN_REPLICATES:
        raise ValueError(
            f"expected at least {_MIN_REPLICATES} replicates in every arm, "
            f"found {scores.num_replicates}: use crossed.contrast"
        )
    estimate = linear_contrast(scores, weights, is_paired=is_paired)
    if not math.isfinite(estimate.standard_error):
        return replace(estimate, method=_METHOD)
    sets = independent_sets(scores, np.asarray(weights, np.float64), is_paired=is_paired)
    rng = np.random.default_rng(seed)
    errors = [over_clusters(scores.strata, of.errors) for of in sets]
    size = sum(of.size for of in errors)
    statistics = np.concatenate(
        [
            _statistics(rng, scores, sets, errors, min(step, num_resamples - start))
            for step in [max(1, _CHUNK // size)]
            for start in range(0, num_resamples, step)
        ]
    )
    critical = float(np.quantile(statistics, CONFIDENCE))
    half = critical * estimate.standard_error
    observed = abs(estimate.value) / estimate.standard_error
    return replace(
        estimate,
        interval=Interval(estimate.value - half, estimate.value + half),
        p_value=float((1 + np.sum(statistics >= observed)) / (1 + num_resamples)),
        method=_METHOD,
    )


def _statistics(
    rng: np.random.Generator,
    scores: Linearized,
    sets: Sequence[IndependentSet],
    errors: Sequence[np.ndarray],
    count: int,
) -> np.ndarray:
    """Returns |estimate* - estimate| / error* of some resamples: [count].

    Args:
      errors: √d·e of each set, [S, C].
    """
    num_clusters = errors[0].shape[1]
    drawn = rng.multinomial(num_clusters, np.full(num_clusters, 1 / num_clusters), count)
    runs, rest = [], np.zeros(count)
    shift, of_items = np.zeros(count), np.zeros((count, num_clusters))
    for of, of_set in zip(sets, errors, strict=True):
        num_replicates = len(of.values)
        picked = rng.integers(num_replicates, size=(count, num_replicates))
        # A run's metric in a resample: its own, and the errors of the clusters that were drawn.
        values = of.values[picked] + np.take_along_axis(drawn @ of_set.T, picked, axis=1)
        shift += values.mean(axis=1) - of.values.mean()
        runs.append(values.var(axis=1, ddof=1) / num_replicates)
        errors_drawn = of_set[picked]  # [count, S, C]
        means = errors_drawn.mean(axis=1)
        of_items += means
        squares = np.square(errors_drawn - means[:, None]).sum(axis=1)
        rest += (drawn * squares).sum(axis=1) / num_replicates / (num_replicates - 1)
    centered = of_items - (drawn * of_items).sum(axis=1, keepdims=True) / num_clusters
    variance = combined(
        np.stack(runs),
        (drawn * np.square(centered)).sum(axis=1),
        rest,
        run_freedoms=np.array([len(of.values) - 1.0 for of in sets]),
        design=np.array([of.design / len(of.values) for of in sets]),
        item_freedom=num_clusters - 1.0,
    ).variance
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(variance > 0, np.abs(shift) / np.sqrt(variance), np.inf)
