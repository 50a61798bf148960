import math
from typing import Any

import numpy as np
import pytest

from codepretrain.errors import UserError
from codepretrain.evals.estimate import (
    Estimate,
    clustered_mean,
    proportion,
    ratio_of_sums,
    weighted_average,
)


def estimated(
    value: float,
    standard_error: float,
    count: int,
    num_items: int | None = None,
    freedom: float | None = None,
) -> Estimate:
    """Returns an estimate to compare with; its standard error equals any that is close."""
    close: Any = pytest.approx(standard_error)
    near: Any = None if freedom is None else pytest.approx(freedom)
    return Estimate(value, close, count, num_items, near)


def test_proportion_by_hand() -> None:
    """3 of 4: sqrt(0.75 · 0.25 / 4)."""
    estimate = proportion([True, False, True, True])
    assert estimate == estimated(0.75, math.sqrt(0.046875), 4)


def test_ratio_of_sums_by_hand() -> None:
    """(4 + 2 + 6) / (2 + 1 + 1) = 3; e = -2, -1, 3; 1 - h = 1/2, 3/4, 3/4; Σh² = 3/8."""
    estimate = ratio_of_sums([4, 2, 6], [2, 1, 1])
    assert estimate == estimated(3.0, math.sqrt(4 * 2 + 10 / 0.75) / 4, 3, freedom=8 / 3 - 1)


def test_a_mean_over_clusters_by_hand() -> None:
    """Two items of a and one each of b, c: sums 2, 0, 1 of 2, 1, 1; the mean is 3/4.

    e = 2 - 3/4 · 2 = 1/2, -3/4, 1/4; 1 - h = 1/2, 3/4, 3/4: Σ e² / (1 - h) = 1/2 + 5/6.
    """
    estimate = clustered_mean([1, 0, 1, 1], ["a", "b", "c", "a"])
    assert estimate.value == 0.75
    assert estimate.standard_error == pytest.approx(math.sqrt(4 / 3) / 4)
    assert (estimate.count, estimate.num_items) == (3, 4)


def test_a_weighted_mean_over_clusters_is_the_ratio_of_their_sums() -> None:
    """Bits 6, 2, 4 over bytes 2, 1, 1: clusters (8, 3) and (4, 1)."""
    estimate = clustered_mean([6, 2, 4], ["a", "a", "b"], weights=[2, 1, 1])
    expected = ratio_of_sums([8, 4], [3, 1])
    assert estimate == estimated(expected.value, expected.standard_error, 2, 3, expected.freedom)


def test_the_order_of_items_and_the_names_of_clusters_change_no_mean() -> None:
    rng = np.random.default_rng(2)
    values, clusters = rng.integers(0, 2, size=50), rng.integers(0, 9, size=50)
    order = rng.permutation(50)
    first = clustered_mean(values, [f"{c}" for c in clusters])
    second = clustered_mean(values[order], [f"é{c}\0" for c in clusters[order]])
    assert second == estimated(first.value, first.standard_error, 9, 50, first.freedom)


def test_an_average_counts_items_and_clusters() -> None:
    average = weighted_average([Estimate(1, 1, 2, num_items=5), Estimate(2, 1, 3)], [1, 1])
    assert (average.count, average.num_items) == (5, 8)


def test_the_ratio_of_single_tokens_is_their_mean() -> None:
    values = np.random.default_rng(0).normal(size=50)
    ratio = ratio_of_sums(values, np.ones(50))
    assert ratio.value == pytest.approx(values.mean())
    assert ratio.standard_error == pytest.approx(values.std(ddof=1) / math.sqrt(50))
    assert ratio.freedom == pytest.approx(49)


def test_empty_clusters_are_left_out_and_those_with_a_numerator_alone_are_not() -> None:
    assert ratio_of_sums([4, 0, 2, 6], [2, 0, 1, 1]) == ratio_of_sums([4, 2, 6], [2, 1, 1])
    assert ratio_of_sums([4, 1, 3], [2, 0, 2]).value == 2.0


def test_the_error_of_a_ratio_is_the_spread_over_samples() -> None:
    """Rows of correlated tokens, drawn 4000 times: the mean SE is the spread of R, within 5%."""
    rng = np.random.default_rng(1)
    ratios, errors = [], []
    for _ in range(4000):
        tokens = rng.integers(50, 150, size=60)
        nats = tokens * (3 + rng.normal(scale=0.5, size=60))  # a row's tokens share its difficulty
        estimate = ratio_of_sums(nats, tokens)
        ratios.append(estimate.value)
        errors.append(estimate.standard_error)
    assert np.mean(errors) == pytest.approx(np.std(ratios), rel=0.05)


def test_weighted_average_by_hand() -> None:
    """Shares 1/4 and 3/4: 0.25 · 2 + 0.75 · 4; sqrt((0.25 · 0.4)² + (0.75 · 0.8)²).

    Degrees of freedom: 0.37² / (0.01² / 4 + 0.36² / 6).
    """
    average = weighted_average([Estimate(2, 0.4, 5), Estimate(4, 0.8, 7)], [10, 30])
    assert average == estimated(
        3.5, math.sqrt(0.37), 12, None, 0.37**2 / (0.01**2 / 4 + 0.36**2 / 6)
    )


def test_sources_into_kinds_into_one_is_the_average_of_the_sources() -> None:
    estimates = [Estimate(2, 0.4, 5), Estimate(4, 0.8, 7), Estimate(7, 0.1, 9)]
    weights = [10, 30, 60]
    kind = weighted_average(estimates[:2], weights[:2])
    nested = weighted_average([kind, estimates[2]], [40, 60])
    flat = weighted_average(estimates, weights)
    assert nested.value == pytest.approx(flat.value)
    assert nested.standard_error == pytest.approx(flat.standard_error)
    assert nested.count == flat.count == 21


def test_one_item_leaves_the_error_unknown() -> None:
    assert math.isnan(ratio_of_sums([3.0], [2.0]).standard_error)


def test_nothing_to_measure_is_an_error() -> None:
    with pytest.raises(UserError, match="at least one item"):
        proportion([])
    with pytest.raises(UserError, match="needs a positive denominator: every item is empty"):
        ratio_of_sums([0.0], [0.0])
