"""Corrections of the standard error of a ratio Σy / Σx for few clusters and for unequal ones.

With n clusters of sums y and x, R = Σy / Σx, shares w = x / Σx and residuals e = y - R·x, the error
of R is Σ e / Σx, and its variance is estimated by

    SE² = Σ d·e² / (Σx)²        d = 1 / (1 - 2w + Σw²)

The factor d makes SE² unbiased where the error of a cluster is in proportion to its size, as it is
if clusters differ and have many tokens: a cluster of share w pulls R towards itself, so that its
residual is too small. SE² is distributed about like χ² with

    ν = (tr B)² / tr B²         B_ij = √(d_i d_j) · (w_i² [i = j] - w_i w_j (w_i + w_j - Σw²))

degrees of freedom. With clusters of one size, d = n / (n - 1) and ν = n - 1, as for a mean; where
one cluster has most of the tokens, ν tends to 1, whatever n is.

Source: Bell & McCaffrey 2002, "Bias reduction in standard errors for linear regression with
multi-stage samples"; Imbens & Kolesár 2016, "Robust standard errors in small samples". Here for a
regression of y/x on a constant with weights x and the working covariance diag(1), one observation
a cluster.
"""

import math

import numpy as np


def corrections(shares: np.ndarray) -> tuple[np.ndarray, float]:
    """Returns d [n] and ν of clusters with shares w [n], which sum to one.

    NaN and 0 for a single cluster, of which no error is known.
    """
    if len(shares) < 2:
        return np.full(len(shares), math.nan), 0.0
    w, s = shares, math.fsum(shares**2)
    if s > 1 - 1e-12:  # one cluster has everything, so nothing is known of the others
        return np.full(len(shares), math.nan), 0.0
    factors = 1 / (1 - 2 * w + s)
    # Σ_ij g_i g_j (s - w_i - w_j)², and on the diagonal (1 - 2w + s)² instead of (s - 2w)².
    g = factors * w**2
    moments = [math.fsum(g * w**k) for k in range(3)]
    everywhere = (s * moments[0]) ** 2 + 2 * moments[0] * moments[2] + 2 * moments[1] ** 2
    everywhere -= 4 * s * moments[0] * moments[1]
    diagonal = math.fsum(g**2 * ((1 - 2 * w + s) ** 2 - (s - 2 * w) ** 2))
    return factors, s**2 / (everywhere + diagonal)
