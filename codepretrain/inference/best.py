"""The probability of each arm of being the best."""

import numpy as np

from codepretrain.inference.crossed import independent_sets
from codepretrain.inference.linearized import Linearized, over_clusters

_DRAWS = 20_000


def probability_of_best(
    scores: Linearized, *, is_higher_better: bool = True, seed: int = 0
) -> np.ndarray:
    """Returns the probability of each arm of having the best true mean, [arms]; it sums to one.

    From draws of the true means: around each observed mean, its error over runs is Student's t with
    S - 1 degrees of freedom, independent between arms, and its error over items is normal with the
    arms' covariance over clusters. An ordinary bootstrap of 3 replicates would draw too narrow a
    distribution, by √(2/3).

    Raises:
      ValueError: an arm has fewer than 2 replicates, a stratum has a single cluster, or a score is
        not finite.
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
    draws = means + rng.normal(size=(_DRAWS, len(means))) @ _root(np.stack(errors))
    for arm, of in enumerate(sets):
        run, rest = of.parts(scores)
        spread = np.sqrt(max(run - rest, 0.0))  # what run × item adds is in the items' part
        draws[:, arm] += spread * rng.standard_t(len(of.values) - 1, _DRAWS)
    return np.bincount((sign * draws).argmax(axis=1), minlength=len(means)) / _DRAWS


def _root(errors: np.ndarray) -> np.ndarray:
    """Returns the symmetric root of the covariance of arms over clusters: [A, C] → [A, A]."""
    values, vectors = np.linalg.eigh(errors @ errors.T)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)) @ vectors.T)
