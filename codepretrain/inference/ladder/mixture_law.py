"""The loss of every domain as a function of the mixture: L_i(r) = c_i + k_i·exp(Σ_j t_ij r_j).

r is the mixture: the shares of J sources of the training tokens, which sum to 1. Adding a constant
to all t_ij of a domain only rescales k_i then, so the t_ij of a domain are reported with sum 0.
With k_i > 0 every L_i is convex in r.

Source: Ye et al. 2403.16952 (data mixing laws), equation 6. Deviations: least squares instead of a
Huber loss, and a small ridge penalty on t_ij, without which a law of 17 sources is close to
undetermined by 32 proxies. The line of Liu et al. 2407.01492 (RegMix) is the baseline.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.optimize import least_squares
from scipy.stats import spearmanr

from codepretrain.inference.ladder.resampling import Groups, leave_one_out

SHRINKAGE = 1e-3  # rank correlations on RegMix's runs are flat from 3e-4 to 3e-3, worse from 1e-2
_STARTS = (0.02, 0.1, 0.3, 0.6, 0.9)  # of c, as shares of the lowest loss below it
_POLISHED = 2  # best starts that are optimized
_RATES = (-20.0, 10.0)  # bounds on log k + t
_SUM_ERROR = 0.01  # of a row of shares: published mixtures are rounded to three digits


class Law(Protocol):
    """Predicts the losses [R, O] of mixtures [R, J]."""

    def losses(self, mixtures: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class MixtureLaw:
    """L_i(r) = constants[i] + scales[i]·exp(Σ_j rates[i, j] r_j).

    Attributes:
      constants: [O], c, in the unit of the losses.
      scales: [O], k, positive, in the unit of the losses.
      rates: [O, J], t, each row with sum 0; negative where more of the source lowers the loss.
    """

    constants: np.ndarray
    scales: np.ndarray
    rates: np.ndarray

    def losses(self, mixtures: np.ndarray) -> np.ndarray:
        """Returns the losses [R, O] of mixtures [R, J]."""
        return self.constants + self.scales * np.exp(checked_mixtures(mixtures) @ self.rates.T)

    def gradient(self, mixture: np.ndarray) -> np.ndarray:
        """Returns ∂L_i/∂r_j, [O, J], at one mixture [J]."""
        heights = self.scales * np.exp(self.rates @ mixture)
        return heights[:, None] * self.rates


def fit_mixture_law(
    mixtures: np.ndarray,
    losses: np.ndarray,
    *,
    shrinkage: float = SHRINKAGE,
    start: MixtureLaw | None = None,
) -> MixtureLaw:
    """Returns the law of every domain, by penalized least squares from several starting points.

    Args:
      mixtures: [R, J], shares of the sources, each row with sum 1 (within 0.01; then normalized).
      losses: [R, O].
      shrinkage: weight of Σ_j t_ij² against the sum of squared residuals, each divided by the
        standard deviation of the domain's losses over runs.
      start: the only starting point, such as the law of all runs for a resample.

    Raises:
      ValueError: fewer distinct mixtures than J + 1, rows that are no mixtures, or losses that are
        not positive.
    """
    mixtures, losses = _checked(mixtures, losses)
    constants, logs = [], []
    for index, domain in enumerate(losses.T):
        spread = float(domain.std()) or 1.0
        given = None
        if start is not None:
            logs_of = start.rates[index] + np.log(start.scales[index] / spread)
            given = np.append(logs_of, start.constants[index] / spread)
        solution = _fit_domain(mixtures, domain / spread, shrinkage, given)
        constants.append(solution[-1] * spread)
        logs.append(solution[:-1] + np.log(spread))
    log_scales = np.mean(logs, axis=1)
    return MixtureLaw(np.array(constants), np.exp(log_scales), np.array(logs) - log_scales[:, None])


def leave_one_out_domains(
    fit: Callable[[np.ndarray, np.ndarray], Law],
    mixtures: np.ndarray,
    losses: np.ndarray,
    *,
    groups: Groups | None = None,
) -> np.ndarray:
    """Returns [R, O]: the losses of each run as predicted by a fit to the runs of other groups.

    Args:
      fit: such as `fit_mixture_law`.
      groups: [R], such as the mixture's name where replicates share one mixture.
    """
    mixtures, losses = np.asarray(mixtures, float), np.asarray(losses, float)

    def fit_and_predict(kept: np.ndarray, left_out: np.ndarray) -> np.ndarray:
        return fit(mixtures[kept], losses[kept]).losses(mixtures[left_out])

    return leave_one_out(fit_and_predict, len(losses), groups=groups)


def rank_correlations(predicted: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """Returns [O]: Spearman's correlation over runs of predicted and actual losses, both [R, O].

    NaN for a domain whose predicted or actual losses are all equal.
    """
    predicted, actual = np.asarray(predicted, float), np.asarray(actual, float)
    if predicted.shape != actual.shape:
        raise ValueError(
            f"expected predicted and actual losses of one shape, found {predicted.shape} and "
            f"{actual.shape}"
        )
    is_constant = (np.ptp(predicted, axis=0) == 0) | (np.ptp(actual, axis=0) == 0)
    return np.array(
        [
            np.nan if constant else spearmanr(predicted[:, domain], actual[:, domain]).statistic
            for domain, constant in enumerate(is_constant)
        ]
    )


def checked_mixtures(mixtures: np.ndarray) -> np.ndarray:
    """Returns mixtures [R, J] with rows that sum to 1 exactly.

    Raises:
      ValueError: a share is negative, or a row does not sum to 1 within 0.01.
    """
    mixtures = np.asarray(mixtures, float)
    if mixtures.ndim != 2:
        raise ValueError(f"expected mixtures of shape [runs, sources], found {mixtures.shape}")
    totals = mixtures.sum(axis=1, keepdims=True)
    if not (mixtures >= 0).all() or not (np.abs(totals - 1) <= _SUM_ERROR).all():
        raise ValueError("expected shares of at least 0 that sum to 1 in each mixture")
    return mixtures / totals


def _checked(mixtures: np.ndarray, losses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mixtures, losses = checked_mixtures(mixtures), np.asarray(losses, float)
    if losses.ndim != 2 or len(losses) != len(mixtures):
        raise ValueError(
            f"expected losses of shape [{len(mixtures)} runs, domains], found {losses.shape}"
        )
    if not (np.isfinite(losses) & (losses > 0)).all():
        raise ValueError("expected positive finite losses")
    needed, distinct = mixtures.shape[1] + 1, len(np.unique(mixtures, axis=0))
    if distinct < needed:
        raise ValueError(
            f"cannot fit a law of {mixtures.shape[1]} sources: expected at least {needed} distinct "
            f"mixtures, found {distinct}"
        )
    return mixtures, losses


def _fit_domain(
    mixtures: np.ndarray, losses: np.ndarray, shrinkage: float, start: np.ndarray | None
) -> np.ndarray:
    """Returns [J + 1]: log k + t_j of every source, then c."""
    num_sources = mixtures.shape[1]
    penalty = np.sqrt(shrinkage) * (np.eye(num_sources) - 1 / num_sources)

    def residuals(parameters: np.ndarray) -> np.ndarray:
        heights = np.exp(mixtures @ parameters[:-1])
        return np.concatenate([parameters[-1] + heights - losses, penalty @ parameters[:-1]])

    def jacobian(parameters: np.ndarray) -> np.ndarray:
        heights = np.exp(mixtures @ parameters[:-1])
        fit = np.column_stack([heights[:, None] * mixtures, np.ones(len(losses))])
        return np.vstack([fit, np.column_stack([penalty, np.zeros(num_sources)])])

    low = np.append(np.full(num_sources, _RATES[0]), 0.0)
    high = np.append(np.full(num_sources, _RATES[1]), losses.max())
    points = [start] if start is not None else _grid(mixtures, losses)
    starts = [np.clip(point, low + 1e-6, high - 1e-6) for point in points]
    starts.sort(key=lambda point: float((residuals(point) ** 2).sum()))
    solutions = [
        least_squares(residuals, point, jacobian, bounds=(low, high), max_nfev=200)
        for point in starts[:_POLISHED]
    ]
    return min(solutions, key=lambda solution: solution.cost).x


def _grid(mixtures: np.ndarray, losses: np.ndarray) -> list[np.ndarray]:
    return [
        _start(mixtures, losses, constant) for constant in losses.min() * (1 - np.array(_STARTS))
    ]


def _start(mixtures: np.ndarray, losses: np.ndarray, constant: float) -> np.ndarray:
    """Returns the parameters for a given c: a line through the logs of what is above it."""
    heights = losses - constant
    weighted = mixtures * heights[:, None]
    normal = weighted.T @ weighted
    normal += 1e-3 * np.mean(heights**2) * np.eye(mixtures.shape[1])
    rates = np.linalg.solve(normal, weighted.T @ (heights * np.log(heights)))
    return np.append(rates, constant)
