import math

import numpy as np
import pytest

from codepretrain.errors import UserError
from codepretrain.evals.cluster_ratio import (
    average_over_strata,
    cluster_errors,
    effective_number,
    ratio_over_clusters,
)
from codepretrain.evals.estimate import ratio_of_sums


def by_matrices(y: np.ndarray, x: np.ndarray) -> tuple[float, float]:
    """The bias-reduced standard error and Bell and McCaffrey's degrees of freedom, n × n.

    Weighted regression of y / x on a constant, weights x, working covariance 1: R = 1ᵀy / 1ᵀx, and
    an error u of y / x moves the residuals of y by diag(x) - x xᵀ / Σx.
    """
    total = x.sum()
    residual = y - y.sum() / total * x
    maker = np.diag(x) - np.outer(x, x) / total  # of residuals, from errors of y / x
    expected = np.diag(maker @ maker.T)
    scale = np.diag(x / np.sqrt(expected)) / total
    # E (scale · residual)² is x² / Σx², which is the variance that a cluster contributes.
    spread = scale @ maker
    freedom = np.trace(spread @ spread.T) ** 2 / np.trace(spread @ spread.T @ spread @ spread.T)
    return float(np.linalg.norm(scale @ residual)), float(freedom)


@pytest.mark.parametrize("num_clusters", [2, 3, 17])
def test_the_error_is_that_of_its_matrices(num_clusters: int) -> None:
    rng = np.random.default_rng(num_clusters)
    x = np.exp(rng.normal(3, 1.2, num_clusters))
    y = x * rng.normal(3, 0.5, num_clusters)
    found = ratio_over_clusters(y, x, np.arange(num_clusters))
    error, freedom = by_matrices(y, x)
    assert found.value == pytest.approx(y.sum() / x.sum())
    assert found.standard_error == pytest.approx(error)
    assert found.freedom == pytest.approx(freedom)


def test_with_equal_sizes_it_is_the_mean_with_n_minus_1_degrees() -> None:
    y = np.array([1.0, 2.0, 4.0, 9.0])
    found = ratio_over_clusters(y, np.ones(4), np.arange(4))
    assert found.value == 4.0
    assert found.standard_error == pytest.approx(y.std(ddof=1) / 2)
    assert found.freedom == pytest.approx(3)
    assert (found.count, found.num_items) == (4, 4)


def test_one_large_cluster_leaves_few_degrees() -> None:
    x = np.array([1000.0, *[1.0] * 99])
    found = ratio_over_clusters(x, x, np.arange(100))
    assert 1 < (found.freedom or 0) < 1.3


def test_items_of_a_cluster_are_added_first() -> None:
    y, x = np.array([3.0, 1.0, 2.0, 8.0, 5.0]), np.array([1.0, 2.0, 1.0, 3.0, 2.0])
    clusters = np.array(["a", "b", "a", "c", "b"])
    found = ratio_over_clusters(y, x, clusters)
    sums = ratio_over_clusters(np.array([5.0, 6.0, 8.0]), np.array([2.0, 4.0, 3.0]), np.arange(3))
    assert found.standard_error == pytest.approx(sums.standard_error)
    assert (found.value, found.count, found.num_items) == (19 / 9, 3, 5)


def test_with_many_clusters_it_is_the_linearized_error() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(1, 3, 5000)
    y = x * rng.normal(3, 0.5, 5000)
    found = ratio_over_clusters(y, x, np.arange(5000))
    assert found.standard_error == pytest.approx(ratio_of_sums(y, x).standard_error, rel=1e-3)


def test_one_cluster_and_none() -> None:
    found = ratio_over_clusters(np.array([4.0, 2.0]), np.array([1.0, 2.0]), np.array([7, 7]))
    assert (found.value, found.count, found.num_items) == (2.0, 1, 2)
    assert math.isnan(found.standard_error)
    assert found.freedom == 0
    with pytest.raises(UserError, match="every item is empty"):
        ratio_over_clusters(np.zeros(2), np.zeros(2), np.arange(2))


def test_empty_items_are_left_out() -> None:
    y, x = np.array([3.0, 0.0, 2.0]), np.array([1.0, 0.0, 2.0])
    found = ratio_over_clusters(y, x, np.arange(3))
    assert (found.count, found.num_items) == (2, 2)


def test_an_average_by_hand() -> None:
    """Ratio 2 of 30 held out, ratio 4 of 10: 2.5."""
    strata = [
        cluster_errors(np.array([4.0]), np.array([2.0]), np.array([0])),
        cluster_errors(np.array([8.0, 4.0]), np.array([2.0, 1.0]), np.array([1, 2])),
    ]
    found = average_over_strata(strata, [30, 10])
    assert found.value == pytest.approx(2.5)
    assert (found.count, found.num_items) == (3, 3)
    assert math.isnan(found.standard_error), "that of a single cluster is unknown"


def test_the_error_of_an_average_is_that_of_independent_sources() -> None:
    rng = np.random.default_rng(0)
    columns = [(rng.normal(size=9), rng.uniform(1, 2, size=9)) for _ in range(2)]
    strata = [
        cluster_errors(y, x, np.arange(9) + 100 * number) for number, (y, x) in enumerate(columns)
    ]
    one, other = (ratio_over_clusters(y, x, np.arange(9)) for y, x in columns)
    found = average_over_strata(strata, [300, 100])
    first, second = 0.75 * one.standard_error, 0.25 * other.standard_error
    assert found.standard_error == pytest.approx(np.hypot(first, second))
    degrees = one.freedom or 0, other.freedom or 0
    assert found.freedom == pytest.approx(
        (first**2 + second**2) ** 2 / (first**4 / degrees[0] + second**4 / degrees[1])
    )


def test_a_cluster_in_two_sources_errs_in_both_at_once() -> None:
    """The same clusters with the same losses twice: no better than once."""
    rng = np.random.default_rng(1)
    y, x = rng.normal(3, 1, 20), np.ones(20)
    once = cluster_errors(y, x, np.arange(20))
    found = average_over_strata([once, once], [1, 1])
    alone = ratio_over_clusters(y, x, np.arange(20))
    assert found.standard_error == pytest.approx(alone.standard_error)
    assert found.freedom == pytest.approx(19)
    assert (found.count, found.num_items) == (20, 40)


def test_effective_number_by_hand() -> None:
    assert effective_number(np.array([3.0, 3.0, 3.0])) == 3
    assert effective_number(np.array([8.0, 1.0, 1.0])) == pytest.approx(100 / 66)


def planted(rng: np.random.Generator, num_clusters: int, *, cap: float) -> tuple[np.ndarray, ...]:
    """Clusters of log-normal sizes, up to `cap`, with effects of their own that fall with size."""
    sizes = np.exp(rng.normal(5, 1.6, num_clusters))
    effects = 3.5 - 0.15 * np.log(sizes) + rng.normal(0, 0.5, num_clusters)
    x = np.minimum(sizes, cap)
    return x * effects + rng.normal(0, 2.5, num_clusters) * np.sqrt(x), x


@pytest.mark.parametrize("cap", [256.0, 2048.0])
@pytest.mark.parametrize("num_clusters", [4, 8, 16, 64])
def test_coverage_with_few_clusters(num_clusters: int, cap: float) -> None:
    """Student's interval holds what it promises, where 1.96 linearized errors cover 58 to 95%."""
    from scipy import stats

    rng = np.random.default_rng(int(cap) + num_clusters)
    y, x = planted(rng, 1_000_000, cap=cap)
    truth, num_draws, covered = y.sum() / x.sum(), 2000, 0
    for _ in range(num_draws):
        y, x = planted(rng, num_clusters, cap=cap)
        found = ratio_over_clusters(y, x, np.arange(num_clusters))
        half = stats.t.ppf(0.975, found.freedom) * found.standard_error
        covered += abs(found.value - truth) <= half
    assert 0.94 <= covered / num_draws <= 0.99
