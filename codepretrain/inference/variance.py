"""The variance of a contrast over runs and items that are crossed, and its degrees of freedom.

Each independent set of S replicates is scored on the same n items (or clusters of them). With

    V_run = Σ_sets s²/S          s² the variance of the metric between the replicates of a set
    V_item                       the variance over clusters of the contrast of means
    V_rest = Σ_sets MS_rest/(S·n)

the sum V_run + V_item has the variance of seed × item twice, so that the estimate is

    V = max(V_run, V_item + max(V_run - V_rest, 0))

which is (MS_seed + MS_item - MS_residual)/(S·n), and not below the larger part: with two or three
replicates the difference of mean squares can be close to 0 or negative. It has

    ν = V² / (U²/ν_run + V_item²/ν_item)
    U = V_run - max(1/2 - 1/ν₀, 0) · min(V_run, V_rest)

degrees of freedom, where ν₀ is that of runs of equally spread arms, 2(S - 1). V_run - V_rest is as
uncertain as V_run, so U = V_run is safe, but too wide where runs hardly differ (98 to 99%
coverage); with U = V_run - V_rest, 7 to 11% of equal recipes differ with 2 or 3 replicates. ν_run
is Welch's, since arms differ in spread. With 2 replicates of one arm and many of the other Welch's
varies too much: 9 to 11% of equal recipes differ with 2 and 8. It is bounded by its geometric mean
with ν₀; for a difference of arms with equally many replicates that changes nothing.

Source: Satterthwaite 1946, Biometrics Bulletin 2, 110–114; Welch 1947, Biometrika 34, 28–35; Imbens
& Kolesár 2016, Review of Economics and Statistics 98, 701–712 (degrees of freedom under equal
spreads). U and the two bounds are ours, from simulation (LOG.md;
tests/campaigns/test_statistics.py).
"""

import numpy as np


def combined(
    run: np.ndarray,
    item: np.ndarray,
    rest: np.ndarray,
    *,
    run_freedoms: np.ndarray,
    design: np.ndarray,
    item_freedom: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns V and ν, for one or many draws of the parts: [...].

    K independent sets of replicates.

    Args:
      run: s²/S of each set, [K, ...].
      item: V_item, [...].
      rest: V_rest, [...].
      run_freedoms: S - 1 of each set, [K].
      design: in proportion to what s²/S of each set would be at equal spreads, w²/S, [K].
    """
    total = run.sum(axis=0)
    variance = np.maximum(total, item + np.maximum(total - rest, 0))
    columns = run_freedoms.reshape(-1, *[1] * (run.ndim - 1))
    of_design = design.sum() ** 2 / np.sum(design**2 / run_freedoms)
    with np.errstate(invalid="ignore", divide="ignore"):
        welch = total**2 / np.sum(run**2 / columns, axis=0)
        welch = np.where(total > 0, welch, of_design)
        bounded = np.minimum(welch, np.sqrt(welch * of_design))
        of_items = item**2 / item_freedom if item_freedom > 0 else np.where(item > 0, np.inf, 0.0)
        uncertain = total - max(0.5 - 1 / of_design, 0) * np.minimum(total, rest)
        freedom = variance**2 / (uncertain**2 / bounded + of_items)
    return variance, np.where(variance > 0, freedom, 0.0)
