import math

import numpy as np
import pytest
from scipy import stats

from codepretrain.report.statistics import (
    normal_interval,
    unpaired_difference,
    unpaired_proportions,
    wilson_interval,
)


def test_wilson_agrees_with_scipy_and_stays_within_zero_and_one():
    for successes, count in [(0, 5), (1, 5), (37, 120), (120, 120), (50, 100_000)]:
        expected = stats.binomtest(successes, count).proportion_ci(0.95, method="wilson")
        ours = wilson_interval(successes / count, count)
        np.testing.assert_allclose([ours.low, ours.high], [expected.low, expected.high], atol=1e-12)
    assert wilson_interval(0.0, 5).low == 0
    assert wilson_interval(1.0, 5).high == 1
    assert wilson_interval(math.nan, 0).high == 1


def test_an_unknown_standard_error_leaves_the_interval_open():
    assert normal_interval(3.0, math.nan).low == -math.inf
    difference = unpaired_difference((3.0, math.nan), (1.0, 0.1), freedom=0, num_items=1)
    assert difference.verdict == "not distinguishable"


def test_unpaired_proportions_by_hand():
    # 0 of 3 against 3 of 3. The standard errors of both are 0, so the plain interval would have no
    # width. One success and one failure are added to each: 1/5 and 4/5, variance 2·(4/25)/5.
    difference = unpaired_proportions((0.0, 3), (1.0, 3))
    error = math.sqrt(2 * 0.16 / 5)
    assert difference.value == -1.0
    assert difference.interval.low == pytest.approx(-0.6 - 1.96 * error, abs=1e-4)
    assert difference.interval.high == pytest.approx(-0.6 + 1.96 * error, abs=1e-4)
    assert difference.p_value == pytest.approx(2 * stats.norm.sf(0.6 / error))
    assert (difference.is_paired, difference.num_items) == (False, 3)
