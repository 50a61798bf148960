"""The mixture that a mixture law predicts to be best, under limits on repetition.

A source of u_j unique tokens may supply at most 4·u_j training tokens: up to four epochs are worth
almost as much as new data (Muennighoff et al. 2305.16264). The target is Σ_i w_i L_i(r) with w ≥ 0,
which is convex, so its minimum under the limits is global.

No method of choosing mixtures consistently beats stratified sampling (Chen et al. 2411.05735):
train the choice beside the natural and the uniform mixture before believing it.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog, minimize

from codepretrain.inference.ladder.mixture_law import MixtureLaw, checked_mixtures, fit_mixture_law
from codepretrain.inference.ladder.resampling import (
    Groups,
    Prediction,
    bootstrap,
    percentile_prediction,
)

MAX_EPOCHS = 4.0
_GAP = 1e-6  # share of the target by which the optimum may miss the true one


@dataclass(frozen=True)
class MixtureChoice:
    """The best mixture of a law, and the two mixtures that need no law.

    Attributes:
      mixture: [J], shares with sum 1.
      target: its predicted target, Σ_i w_i L_i.
      losses: [O], its predicted losses.
      natural: [J], shares proportional to unique tokens.
      natural_target: the predicted target of `natural`.
      uniform: [J], equal shares as far as the limits allow.
      uniform_target: the predicted target of `uniform`.
      gap: how far below `target` the true minimum may be at most.
    """

    mixture: np.ndarray
    target: float
    losses: np.ndarray
    natural: np.ndarray
    natural_target: float
    uniform: np.ndarray
    uniform_target: float
    gap: float


def choose_mixture(
    law: MixtureLaw,
    weights: np.ndarray,
    unique_tokens: np.ndarray,
    num_tokens: float,
    *,
    max_epochs: float = MAX_EPOCHS,
) -> MixtureChoice:
    """Returns the mixture with the lowest predicted target.

    Args:
      weights: [O], of the domains in the target, at least 0.
      unique_tokens: [J], of each source.
      num_tokens: training tokens of the run that the mixture is for.
      max_epochs: how often a source may be read.

    Raises:
      ValueError: negative or no weights, or sources too small for `num_tokens`.
    """
    weights, unique_tokens = np.asarray(weights, float), np.asarray(unique_tokens, float)
    if weights.shape != law.constants.shape or not (weights >= 0).all() or not weights.any():
        raise ValueError(
            f"weights: expected {len(law.constants)} numbers of at least 0, not all 0, found "
            f"{weights.tolist()}"
        )
    if unique_tokens.shape != law.rates.shape[1:]:
        raise ValueError(
            f"unique_tokens: expected one number for each of {law.rates.shape[1]} sources, found "
            f"{unique_tokens.shape}"
        )
    caps = share_caps(unique_tokens, num_tokens, max_epochs=max_epochs)
    natural = unique_tokens / unique_tokens.sum()
    uniform = cap_mixture(np.full(len(caps), 1 / len(caps)), caps)
    mixture, gap = _minimize(law, weights, caps, natural)
    losses = law.losses(np.stack([mixture, natural, uniform]))
    targets = losses @ weights
    return MixtureChoice(
        mixture=mixture,
        target=float(targets[0]),
        losses=losses[0],
        natural=natural,
        natural_target=float(targets[1]),
        uniform=uniform,
        uniform_target=float(targets[2]),
        gap=gap,
    )


def predict_gain(
    mixtures: np.ndarray,
    losses: np.ndarray,
    weights: np.ndarray,
    chosen: np.ndarray,
    baseline: np.ndarray,
    *,
    groups: Groups | None = None,
    num_draws: int = 200,
    seed: int = 0,
) -> Prediction:
    """Returns how much lower the target of `chosen` is than the baseline's, with an interval.

    The interval is over runs, for these two mixtures. `chosen` was picked for its predicted target,
    so the value is optimistic even where the law holds.

    Args:
      mixtures: [R, J], of the runs.
      losses: [R, O].
      weights: [O].
      chosen: [J].
      baseline: [J], such as the natural mixture.
    """
    mixtures, losses = checked_mixtures(mixtures), np.asarray(losses, float)
    pair = np.stack([baseline, chosen])

    def gain(law: MixtureLaw) -> float:
        targets = law.losses(pair) @ np.asarray(weights, float)
        return float(targets[0] - targets[1])

    def is_usable(runs: np.ndarray) -> bool:
        return len(np.unique(mixtures[runs], axis=0)) > mixtures.shape[1]

    law = fit_mixture_law(mixtures, losses)
    resamples = bootstrap(len(losses), is_usable, groups=groups, num_draws=num_draws, seed=seed)
    draws = [gain(fit_mixture_law(mixtures[runs], losses[runs], start=law)) for runs in resamples]
    return percentile_prediction(gain(law), np.array(draws))


def share_caps(
    unique_tokens: np.ndarray, num_tokens: float, *, max_epochs: float = MAX_EPOCHS
) -> np.ndarray:
    """Returns [J]: the largest share of each source that repeats it at most `max_epochs` times.

    Raises:
      ValueError: all sources together cannot supply `num_tokens`.
    """
    unique_tokens = np.asarray(unique_tokens, float)
    if not (unique_tokens > 0).all() or not num_tokens > 0:
        raise ValueError("expected positive numbers of unique tokens and of training tokens")
    available = max_epochs * unique_tokens.sum()
    if available < num_tokens:
        raise ValueError(
            f"expected at least {num_tokens:,.0f} tokens, found {available:,.0f} in "
            f"{max_epochs:g} epochs of all sources; train on fewer tokens or add data"
        )
    return np.minimum(1.0, max_epochs * unique_tokens / num_tokens)


def cap_mixture(mixture: np.ndarray, caps: np.ndarray) -> np.ndarray:
    """Returns the mixture [J] with no share above its cap [J]; the others grow in proportion.

    Where the sources below their caps have no share at all, what remains is spread over them in
    proportion to their caps.
    """
    mixture, caps = np.asarray(mixture, float), np.asarray(caps, float)
    assert caps.sum() >= 1 - 1e-12, "the caps leave no mixture"
    is_full = np.zeros(len(mixture), bool)
    while True:
        wanted = np.where(is_full, 0.0, mixture)
        if not wanted.any():
            wanted = np.where(is_full, 0.0, caps)
        rest = max(0.0, 1 - caps[is_full].sum())
        grown = wanted * (rest / wanted.sum() if wanted.any() else 0.0)
        capped = np.where(is_full, caps, grown)
        exceeding = ~is_full & (capped > caps)
        if not exceeding.any():
            return capped
        is_full |= exceeding


def is_within(mixtures: np.ndarray, mixture: np.ndarray) -> bool:
    """Returns whether `mixture` [J] is an average of tried `mixtures` [R, J].

    Outside of their convex hull a law extrapolates.
    """
    mixtures = checked_mixtures(mixtures)
    found = linprog(
        np.zeros(len(mixtures)),
        A_eq=np.vstack([mixtures.T, np.ones(len(mixtures))]),
        b_eq=np.append(mixture, 1.0),
    )
    return bool(found.success)


def _minimize(
    law: MixtureLaw, weights: np.ndarray, caps: np.ndarray, start: np.ndarray
) -> tuple[np.ndarray, float]:
    """Returns the best mixture and its duality gap, a bound on how far it is from the minimum."""

    def target(mixture: np.ndarray) -> float:
        return float(weights @ (law.constants + law.scales * np.exp(law.rates @ mixture)))

    def gradient(mixture: np.ndarray) -> np.ndarray:
        return weights @ law.gradient(mixture)

    mixture = start
    for _ in range(3):  # restarts, in case a line search failed
        found = minimize(
            target,
            mixture,
            jac=gradient,
            method="SLSQP",
            bounds=[(0.0, cap) for cap in caps],
            constraints={
                "type": "eq",
                "fun": lambda r: r.sum() - 1,
                "jac": lambda r: np.ones(len(r)),
            },
            options={"maxiter": 1000, "ftol": 1e-14},
        )
        mixture = cap_mixture(np.clip(found.x, 0, caps), caps)
        slope = gradient(mixture)
        gap = float(slope @ (mixture - _steepest(slope, caps)))
        if gap <= _GAP * target(mixture):
            return mixture, gap
    raise RuntimeError(f"the optimizer stopped {gap:.2g} above the lower bound of the target")


def _steepest(slope: np.ndarray, caps: np.ndarray) -> np.ndarray:
    """Returns the mixture under the caps with the lowest Σ_j slope_j r_j."""
    mixture, rest = np.zeros(len(caps)), 1.0
    for source in np.argsort(slope):
        mixture[source] = min(caps[source], rest)
        rest -= mixture[source]
    return mixture
