"""The probability of each arm of being the best."""

import itertools
from collections.abc import Sequence

import numpy as np

from codepretrain.inference.crossed import IndependentSet, independent_sets
from codepretrain.inference.linearized import Linearized, over_clusters
from codepretrain.inference.matched_pairs import items_part

_DRAWS = 20_000
_EQUAL = 1e-7  # draws that differ by less of their size differ by the rounding of a root


def probability_of_best(
    scores: Linearized,
    *,
    groups: Sequence[int] = (),
    is_higher_better: bool = True,
    seed: int = 0,
) -> np.ndarray:
    """Returns the probability of each arm of having the best true mean, [arms]; it sums to one.

    From draws of the true means: around each observed mean, its error over runs is Student's t with
    S - 1 degrees of freedom, and its error over items is normal with the arms' covariance over
    clusters. An ordinary bootstrap of 3 replicates would draw too narrow a distribution, by √(2/3).
    The difference of two arms of a bounded score has at least the variance of its contrast
    (`matched_pairs.py`), so that equal answers to a few items are no certainty. Arms that are equal
    in a draw share it.

    The errors over runs of the arms of a group are drawn together: a multivariate t with their
    covariance over replicates, so that the difference of two of them has the error of replicates
    that are paired. Those of other arms are independent.

    Args:
      groups: of each arm, those whose replicates k descend from one run; empty for independent
        arms.

    Raises:
      ValueError: an arm has fewer than 2 replicates, those of a group have unequal numbers, a
        stratum has a single cluster, or a score is not finite.
    """
    if min(scores.num_replicates) < 2:
        raise ValueError(
            f"expected at least 2 replicates in every arm, found {scores.num_replicates}"
        )
    rng = np.random.default_rng(seed)
    sign = 1.0 if is_higher_better else -1.0
    means = np.array([values.mean() for values in scores.values])
    sets = [independent_sets(scores, weights, is_paired=False)[0] for weights in np.eye(len(means))]
    errors = [over_clusters(scores.strata, of.errors).mean(axis=0) for of in sets]
    if not all(np.isfinite(of).all() for of in (means, *errors)):
        raise ValueError(
            "expected finite scores and at least 2 clusters of items in every stratum: the spread "
            "is unknown otherwise"
        )
    items = np.stack(errors)
    covariance = items @ items.T + np.diag(_added_pairs(scores))
    draws = means + rng.normal(size=(_DRAWS, len(means))) @ _root(covariance)
    labels = list(groups) or list(range(len(means)))
    for group in dict.fromkeys(labels):
        members = [arm for arm, label in enumerate(labels) if label == group]
        freedom = len(sets[members[0]].values) - 1
        root = _root(_run_covariance(scores, [sets[arm] for arm in members]))
        scale = np.sqrt(freedom / rng.chisquare(freedom, _DRAWS))
        draws[:, members] += rng.normal(size=(_DRAWS, len(members))) @ root * scale[:, None]
    largest = (sign * draws).max(axis=1, keepdims=True)
    is_best = sign * draws >= largest - _EQUAL * np.abs(draws).max()
    return np.asarray((is_best / is_best.sum(axis=1, keepdims=True)).mean(axis=0))


def _added_pairs(scores: Linearized) -> np.ndarray:
    """Returns what to add to the variance over items of each arm, [A].

    Half of the most that a difference of the arm from another one has more than that over clusters.
    """
    added = np.zeros(len(scores.values))
    for pair in itertools.combinations(range(len(added)), 2):
        weights = np.zeros(len(added))
        weights[list(pair)] = 1.0, -1.0
        more = items_part(scores.strata, weights, is_shifted=False).added
        added[list(pair)] = np.maximum(added[list(pair)], more / 2)
    return added


def _run_covariance(scores: Linearized, sets: Sequence[IndependentSet]) -> np.ndarray:
    """Returns the covariance of the arms' means over runs, [A, A], without run × item.

    What run × item adds is in the items' part.
    """
    counts = [len(of.values) for of in sets]
    if len(set(counts)) > 1:
        raise ValueError(
            f"groups: expected the same number of replicates in every arm, found {tuple(counts)}"
            ": measure the missing ones, or give each arm a group of its own"
        )
    values = np.stack([of.values for of in sets])
    errors = np.stack([over_clusters(scores.strata, of.errors) for of in sets])
    values = values - values.mean(axis=1, keepdims=True)
    errors = errors - errors.mean(axis=1, keepdims=True)
    rest = np.einsum("asc,bsc->ab", errors, errors)
    return np.asarray((values @ values.T - rest) / counts[0] / (counts[0] - 1))


def _root(covariance: np.ndarray) -> np.ndarray:
    """Returns the symmetric root of a covariance [A, A]; its negative parts count as 0."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)) @ vectors.T)
