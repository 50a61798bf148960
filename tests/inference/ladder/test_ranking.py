import math

import numpy as np
import pytest

from codepretrain.inference.ladder.ranking import decision_accuracy
from codepretrain.report.statistics import wilson_interval


def test_a_share_by_hand() -> None:
    """Of the pairs ab ac ad bc bd cd, only bc changes its sign."""
    found = decision_accuracy(np.array([1.0, 2, 3, 4]), np.array([10.0, 30, 20, 40]))
    assert found.num_pairs == 6
    assert found.share == pytest.approx(5 / 6)
    assert 0 < found.interval.low < 5 / 6 < found.interval.high < 1


def test_ties() -> None:
    """Equal at the target: no right answer. Equal at the small size: a coin toss."""
    found = decision_accuracy(np.array([1.0, 1, 3]), np.array([1.0, 2, 2]))
    assert found.num_pairs == 2  # ab is tied at the small size, bc at the target
    assert found.share == pytest.approx((0.5 + 1) / 2)


def test_only_distinguishable_pairs_count() -> None:
    mask = np.array(
        [[False, False, True, True], [False, False, False, True], [True, False, False, False],
         [True, True, False, False]]
    )  # fmt: skip
    found = decision_accuracy(
        np.array([1.0, 2, 3, 4]), np.array([10.0, 30, 20, 40]), is_distinguishable=mask
    )
    assert (found.num_pairs, found.share, found.interval.high) == (3, 1.0, 1.0)
    nothing = decision_accuracy(
        np.arange(4.0), np.arange(4.0), is_distinguishable=np.zeros((4, 4), bool)
    )
    assert math.isnan(nothing.share)
    assert (nothing.interval.low, nothing.interval.high, nothing.num_pairs) == (0.0, 1.0, 0)


def test_agreement_in_all_pairs_is_no_certainty() -> None:
    """Eight arms have 28 pairs, but only four that share no arm."""
    found = decision_accuracy(np.arange(8.0), np.arange(8.0) ** 2)
    expected = wilson_interval(1.0, 4)
    assert found.effective_pairs == 4
    assert (found.interval.low, found.interval.high) == (pytest.approx(expected.low), 1.0)


def test_effective_pairs_are_those_of_the_jackknife() -> None:
    """The share is computed anew without each arm."""
    small = np.array([1.0, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    target = np.array([5.0, 4, 2, 1, 3, 7, 0, 8, 6, 9])
    found = decision_accuracy(small, target)
    without = [
        decision_accuracy(np.delete(small, arm), np.delete(target, arm)).share for arm in range(10)
    ]
    variance = 9 * np.var(without)
    assert 5 < found.effective_pairs < 45
    assert found.effective_pairs == pytest.approx(found.share * (1 - found.share) / variance)


def test_shares_of_reversed_scores_are_complementary() -> None:
    rng = np.random.default_rng(0)
    small, target = rng.standard_normal((2, 9))
    found, reverse = decision_accuracy(small, target), decision_accuracy(-small, target)
    assert found.share == pytest.approx(1 - reverse.share)
    assert found.interval.low == pytest.approx(1 - reverse.interval.high)


@pytest.mark.parametrize(("num_arms", "correlation"), [(6, 0.5), (12, 0.81), (25, 0.95)])
def test_the_interval_covers_the_true_share(num_arms: int, correlation: float) -> None:
    """Scores at the two sizes are correlated normal: the share is 1/2 + arcsin ρ / π."""
    rng = np.random.default_rng(0)
    truth = 0.5 + math.asin(correlation) / math.pi
    covered = 0
    for _ in range(400):
        small, noise = rng.standard_normal((2, num_arms))
        target = correlation * small + math.sqrt(1 - correlation**2) * noise
        found = decision_accuracy(small, target)
        covered += found.interval.low <= truth <= found.interval.high
    assert covered >= 0.93 * 400


@pytest.mark.parametrize(
    ("small", "target", "mask", "message"),
    [
        ([1.0, 2], [1.0, 2], None, "needs 3 arms, found 2"),
        ([1.0, 2, 3], [1.0, 2], None, r"at both sizes, found \(3,\) and \(2,\)"),
        ([1.0, 2, math.nan], [1.0, 2, 3], None, "finite scores of all arms"),
        ([1.0, 2, 3], [1.0, 2, 3], np.eye(2) > 0, r"expected shape \(3, 3\), found \(2, 2\)"),
        ([1.0, 2, 3], [1.0, 2, 3], np.tri(3) > 0, "expected a symmetric matrix"),
    ],
)
def test_errors(small: list, target: list, mask: np.ndarray | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decision_accuracy(np.array(small), np.array(target), is_distinguishable=mask)
