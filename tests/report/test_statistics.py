import math

import numpy as np
import pytest
from scipy import stats

from codepretrain.evals.estimate import ratio_of_sums, weighted_average
from codepretrain.report.statistics import (
    PairedScores,
    holm,
    normal_interval,
    paired_difference,
    student_interval,
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


def test_students_interval_agrees_with_scipy():
    for freedom in (1.0, 2.7, 63.0):
        low, high = stats.t.interval(0.95, freedom, loc=3.0, scale=0.2)
        found = student_interval(3.0, 0.2, freedom)
        np.testing.assert_allclose([found.low, found.high], [low, high])
    assert student_interval(3.0, math.nan, math.nan).high == math.inf


def test_an_unknown_standard_error_leaves_the_interval_open():
    assert normal_interval(3.0, math.nan).low == -math.inf
    assert unpaired_difference((3.0, math.nan), (1.0, 0.1), num_items=1).verdict == (
        "not distinguishable"
    )


def test_paired_mean_by_hand():
    #              ours  baseline  difference
    # item 0        1.5       1.0         0.5
    # item 1        2.5       2.0         0.5
    # item 2        3.5       2.0         1.5
    # item 3        4.5       3.0         1.5    mean 1, sd² = 4·0.25/3, se = sqrt(1/3/4)
    difference = paired_difference(
        PairedScores(np.array([1.5, 2.5, 3.5, 4.5])),
        PairedScores(np.array([1.0, 2.0, 2.0, 3.0])),
    )
    error = math.sqrt(1 / 12)
    assert difference.value == 1.0
    assert difference.interval.low == pytest.approx(1 - 3.1824 * error, abs=1e-4)  # t, 3 degrees
    assert difference.p_value == pytest.approx(2 * stats.t.sf(1 / error, 3))
    assert (difference.verdict, difference.is_paired, difference.num_items) == ("higher", True, 4)


def test_paired_proportion_by_hand():
    # 30 items: 10 both, 9 ours only, 2 the baseline's only, 9 neither. Half a one to each cell:
    # center (9.5 - 2.5)/32, variance ((9.5 + 2.5) - 7²/32)/32².
    ours = np.array([1] * 10 + [1] * 9 + [0] * 2 + [0] * 9, float)
    baseline = np.array([1] * 10 + [0] * 9 + [1] * 2 + [0] * 9, float)
    difference = paired_difference(PairedScores(ours), PairedScores(baseline))
    error = math.sqrt(12 - 49 / 32) / 32
    assert difference.value == pytest.approx(7 / 30)
    assert difference.interval.low == pytest.approx(7 / 32 - 1.96 * error, abs=1e-4)
    assert difference.interval.high == pytest.approx(7 / 32 + 1.96 * error, abs=1e-4)
    assert difference.verdict == "higher"


def test_identical_answers_are_not_distinguishable():
    for items in (
        PairedScores(np.array([0.0, 1, 1])),
        PairedScores(np.array([0.5, 2, 3])),
        PairedScores(np.array([5.0, 9, 2]), np.array([2.0, 3, 1])),
    ):
        difference = paired_difference(items, items)
        assert difference.value == 0
        assert difference.p_value == 1
        assert difference.verdict == "not distinguishable"


def ratio_items(seed, num_items=300):
    rng = np.random.default_rng(seed)
    weights = rng.integers(20, 65, num_items).astype(float)
    hardness = rng.normal(4, 1, num_items)
    baseline = weights * hardness
    ours = weights * (hardness - 0.05 + rng.normal(0, 0.1, num_items))
    return PairedScores(ours, weights), PairedScores(baseline, weights)


def test_paired_ratio_by_the_formula():
    ours, baseline = ratio_items(seed=1)
    difference = paired_difference(ours, baseline)
    gaps, weights = ours.values - baseline.values, ours.weights
    value = gaps.sum() / weights.sum()
    count = len(gaps)
    error = math.sqrt(count / (count - 1) * ((gaps - value * weights) ** 2).sum()) / weights.sum()
    assert difference.value == pytest.approx(value)
    half = stats.t.ppf(0.975, count - 1) * error
    assert difference.interval.low == pytest.approx(value - half)
    assert difference.interval.high == pytest.approx(value + half)
    assert difference.p_value == pytest.approx(2 * stats.t.sf(abs(value) / error, count - 1))
    assert difference.verdict == "lower"


def test_the_error_of_a_stratified_ratio_is_that_of_its_estimate():
    """Against a baseline of zeros, the difference is the metric itself."""
    rng = np.random.default_rng(3)
    ratios, scaled = [], []
    for held_out, ratio in ((9000, 2.0), (5000, 7.0)):
        tokens = rng.integers(5, 400, 30).astype(float)
        nats = tokens * ratio + rng.normal(0, 9, 30)
        ratios.append(ratio_of_sums(nats, tokens))
        scaled.append(np.stack([nats, tokens]) * held_out / tokens.sum())
    estimate = weighted_average(ratios, [9000, 5000])
    values, weights = np.concatenate(scaled, axis=1)
    number = np.repeat([0.0, 1.0], 30)
    baseline = PairedScores(np.zeros(60), weights, number)
    difference = paired_difference(PairedScores(values, weights, number), baseline)
    half = (difference.interval.high - difference.interval.low) / 2
    assert difference.value == pytest.approx(estimate.value)
    quantiles = stats.t.ppf(0.975, [58, 29])  # Satterthwaite's degrees lie between
    assert quantiles[0] <= half / estimate.standard_error <= quantiles[1]


@pytest.mark.parametrize(
    ("num_items", "num_strata"), [(4, 2), (10, 5), (10, 1), (30, 3), (3, None)]
)
def test_equal_models_are_rarely_told_apart_by_few_items(num_items, num_strata):
    rng = np.random.default_rng(num_items)
    found, num_pairs = 0, 400
    for _ in range(num_pairs):
        weights = rng.integers(50, 512, num_items).astype(float)
        hardness = rng.normal(2, 0.3, num_items)
        losses = hardness + rng.normal(0, 0.05, (2, num_items))
        if num_strata is None:
            pair = [PairedScores(loss) for loss in losses]
        else:
            strata = np.arange(num_items) % num_strata
            pair = [PairedScores(weights * loss, weights, strata) for loss in losses]
        found += paired_difference(*pair).verdict != "not distinguishable"
    assert found <= 32  # 20 expected at most; 33 or more happens in 0.4% of such campaigns


def test_pairing_sees_what_independent_intervals_do_not():
    ours, baseline = ratio_items(seed=2)
    paired = paired_difference(ours, baseline)
    spread = 1 / math.sqrt(300)  # each model's own standard error: items differ by sd 1
    unpaired = unpaired_difference((paired.value, spread), (0.0, spread), num_items=300)
    assert paired.verdict == "lower"
    assert unpaired.verdict == "not distinguishable"


def test_paired_intervals_cover_the_truth_about_as_often_as_they_say():
    covered = 0
    for seed in range(60):
        ours, baseline = ratio_items(seed, num_items=80)
        interval = paired_difference(ours, baseline).interval
        covered += interval.low <= -0.05 <= interval.high
    assert covered >= 52  # 57 expected; 52 or fewer happens in 2% of such campaigns


def test_too_few_items_distinguish_nothing():
    one = PairedScores(np.array([2.0]))
    assert paired_difference(one, PairedScores(np.array([1.0]))).verdict == "not distinguishable"
    ratio = PairedScores(np.array([2.0]), np.array([1.0]))
    assert paired_difference(ratio, ratio).verdict == "not distinguishable"


def test_items_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match="cannot pair 2 items with the baseline's 3"):
        paired_difference(PairedScores(np.zeros(2)), PairedScores(np.zeros(3)))


def test_holm_by_hand():
    # sorted: .01 ×4 = .04, .02 ×3 = .06, .03 ×2 = .06 (never below the one before), .9 ×1
    assert holm([0.02, 0.9, 0.01, 0.03]) == pytest.approx([0.06, 0.9, 0.04, 0.06])
    assert holm([]) == []


def test_a_stratum_of_one_row_leaves_the_interval_open():
    # A source with one held-out row has no standard error, so an average over it has none either.
    ours = PairedScores(np.array([2.0, 6.0]), np.array([1.0, 2.0]), np.array([0.0, 1.0]))
    baseline = PairedScores(np.array([1.0, 5.0]), np.array([1.0, 2.0]), np.array([0.0, 1.0]))
    difference = paired_difference(ours, baseline)
    assert difference.value == pytest.approx(2 / 3)
    assert difference.interval.high == math.inf
    assert (difference.verdict, difference.p_value) == ("not distinguishable", 1.0)


def test_empty_rows_are_no_sample():
    ours = PairedScores(np.array([2.0, 0.0]), np.array([1.0, 0.0]))
    baseline = PairedScores(np.array([1.0, 0.0]), np.array([1.0, 0.0]))
    difference = paired_difference(ours, baseline)
    assert (difference.value, difference.num_items) == (1.0, 1)
    assert difference.interval.low == -math.inf


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_leaves_the_interval_open(bad):
    weights = np.ones(4)
    ours = PairedScores(np.array([1.0, 2.0, bad, 1.0]), weights)
    baseline = PairedScores(np.array([1.0, 1.0, 2.0, 1.0]), weights)
    difference = paired_difference(ours, baseline)
    assert not math.isfinite(difference.value)
    assert (difference.interval.low, difference.interval.high) == (-math.inf, math.inf)
    assert difference.p_value == 1.0


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
