"""A line over mixtures, with which the mixture law is compared."""

from dataclasses import dataclass

import numpy as np

from codepretrain.inference.ladder.mixture_law import checked_mixtures


@dataclass(frozen=True)
class LinearLaw:
    """L_i(r) = Σ_j coefficients[i, j] r_j: the loss of training on each source alone, averaged."""

    coefficients: np.ndarray  # [O, J]

    def losses(self, mixtures: np.ndarray) -> np.ndarray:
        """Returns the losses [R, O] of mixtures [R, J]."""
        return checked_mixtures(mixtures) @ self.coefficients.T


def fit_linear_law(mixtures: np.ndarray, losses: np.ndarray) -> LinearLaw:
    """Returns the least-squares line of every domain; no intercept, since shares sum to 1."""
    return LinearLaw(np.linalg.lstsq(checked_mixtures(mixtures), losses, rcond=None)[0].T)
