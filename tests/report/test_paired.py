import math

import numpy as np
import pytest
from scipy import stats

from codepretrain.evals.estimate import ratio_of_sums, weighted_average
from codepretrain.evals.unequal_clusters import corrections
from codepretrain.report.paired import PairedScores, paired_difference
from codepretrain.report.statistics import unpaired_difference


def scores(values, weights=None, strata=None, *, ids=None, clusters=None):
    """Returns scores of items that are named by their numbers, each a cluster."""
    ids = [f"item {number}" for number in range(len(values))] if ids is None else ids
    return PairedScores(
        ids=ids,
        clusters=ids if clusters is None else clusters,
        values=values,
        weights=weights,
        strata=strata,
    )


def test_paired_mean_by_hand():
    #              ours  baseline  difference
    # item 0        1.5       1.0         0.5
    # item 1        2.5       2.0         0.5
    # item 2        3.5       2.0         1.5
    # item 3        4.5       3.0         1.5    mean 1, sd² = 4·0.25/3, se = sqrt(1/3/4)
    difference = paired_difference(
        scores(np.array([1.5, 2.5, 3.5, 4.5])),
        scores(np.array([1.0, 2.0, 2.0, 3.0])),
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
    difference = paired_difference(scores(ours), scores(baseline))
    error = math.sqrt(12 - 49 / 32) / 32
    assert difference.value == pytest.approx(7 / 30)
    assert difference.interval.low == pytest.approx(
        7 / 32 - 2.0452 * error, abs=1e-4
    )  # t, 29 degrees
    assert difference.interval.high == pytest.approx(7 / 32 + 2.0452 * error, abs=1e-4)
    assert difference.verdict == "higher"


def test_identical_answers_are_not_distinguishable():
    for items in (
        scores(np.array([0.0, 1, 1])),
        scores(np.array([0.5, 2, 3])),
        scores(np.array([5.0, 9, 2]), np.array([2.0, 3, 1])),
        scores(np.array([0.0, 1, 1]), clusters=["a", "a", "b"]),
    ):
        difference = paired_difference(items, items)
        assert difference.value == 0
        assert difference.p_value == 1
        assert difference.verdict == "not distinguishable"


def test_three_equal_answers_are_no_difference():
    """With the normal quantile, equal models would differ in 25% of comparisons of three items."""
    difference = paired_difference(scores(np.ones(3)), scores(np.zeros(3)))
    assert difference.verdict == "not distinguishable"


def test_items_of_documents_that_all_differ_by_the_same_have_an_interval():
    """As many pairs as there are documents: two models that fail on all items may differ."""
    documents = [f"document {number // 3}" for number in range(30)]
    wrong = scores(np.zeros(30), clusters=documents)
    equal = paired_difference(wrong, wrong)
    ten = paired_difference(scores(np.zeros(10)), scores(np.zeros(10)))
    assert (equal.value, equal.interval, equal.num_items) == (0, ten.interval, 30)
    assert equal.interval.low < 0 < equal.interval.high
    right = paired_difference(scores(np.ones(30), clusters=documents), wrong)
    assert (right.value, right.verdict) == (1, "higher")


def ratio_items(seed, num_items=300):
    rng = np.random.default_rng(seed)
    weights = rng.integers(20, 65, num_items).astype(float)
    hardness = rng.normal(4, 1, num_items)
    baseline = weights * hardness
    ours = weights * (hardness - 0.05 + rng.normal(0, 0.1, num_items))
    return scores(ours, weights), scores(baseline, weights)


def test_paired_ratio_by_the_formula():
    ours, baseline = ratio_items(seed=1)
    difference = paired_difference(ours, baseline)
    gaps, weights = ours.values - baseline.values, ours.weights
    value = gaps.sum() / weights.sum()
    factors, freedom = corrections(weights / weights.sum())
    error = math.sqrt((factors * (gaps - value * weights) ** 2).sum()) / weights.sum()
    assert difference.value == pytest.approx(value)
    half = stats.t.ppf(0.975, freedom) * error
    assert difference.interval.low == pytest.approx(value - half)
    assert difference.interval.high == pytest.approx(value + half)
    assert difference.p_value == pytest.approx(2 * stats.t.sf(abs(value) / error, freedom))
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
    baseline = scores(np.zeros(60), weights, number)
    difference = paired_difference(scores(values, weights, number), baseline)
    half = (difference.interval.high - difference.interval.low) / 2
    assert difference.value == pytest.approx(estimate.value)
    assert half == pytest.approx(stats.t.ppf(0.975, estimate.freedom) * estimate.standard_error)
    assert 20 < estimate.freedom < 58


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
            pair = [scores(loss) for loss in losses]
        else:
            strata = np.arange(num_items) % num_strata
            pair = [scores(weights * loss, weights, strata) for loss in losses]
        found += paired_difference(*pair).verdict != "not distinguishable"
    assert found <= 32  # 20 expected at most; 33 or more happens in 0.4% of such campaigns


def test_pairing_sees_what_independent_intervals_do_not():
    ours, baseline = ratio_items(seed=2)
    paired = paired_difference(ours, baseline)
    spread = 1 / math.sqrt(300)  # each model's own standard error: items differ by sd 1
    unpaired = unpaired_difference(
        (paired.value, spread), (0.0, spread), freedom=299, num_items=300
    )
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
    one = scores(np.array([2.0]))
    assert paired_difference(one, scores(np.array([1.0]))).verdict == "not distinguishable"
    ratio = scores(np.array([2.0]), np.array([1.0]))
    assert paired_difference(ratio, ratio).verdict == "not distinguishable"


def test_items_that_do_not_match_are_refused_by_name():
    ours, baseline = scores(np.zeros(2), ids=["a", "b"]), scores(np.zeros(3), ids=["b", "c", "d"])
    with pytest.raises(ValueError, match="2 items with the baseline's 3: a only here, c, d only"):
        paired_difference(ours, baseline)
    many = scores(np.zeros(9), ids=list("abcdefghi"))
    with pytest.raises(ValueError, match=r"none only here, c, d, e, … \(7\) only in the baseline"):
        paired_difference(ours, many)


def test_the_order_of_items_does_not_matter():
    """By position, ours would win 1 of 4 and lose 1 of 4."""
    ours = scores(np.array([1.0, 0, 1, 1]), ids=list("abcd"))
    baseline = scores(np.array([1.0, 1, 0, 1]), ids=list("dcba"))
    difference = paired_difference(ours, baseline)
    assert difference == paired_difference(ours, scores(baseline.values[::-1], ids=list("abcd")))
    assert (difference.value, difference.num_items) == (0.0, 4)
    same = paired_difference(ours, scores(ours.values[::-1], ids=list("dcba")))
    assert same.interval == paired_difference(ours, ours).interval


def test_weights_and_strata_are_those_of_both_sides():
    """Our ratio is (2 + 6) / (1 + 2), the baseline's (2 + 6) / (2 + 2), whatever the order."""
    values, strata = np.array([2.0, 6.0, 1.0, 1.0]), np.array([0.0, 0, 1, 1])
    ours = scores(values, np.array([1.0, 2, 1, 1]), strata)
    order = np.array([3, 1, 0, 2])
    baseline = scores(values, np.array([2.0, 2, 1, 1]), strata).take(order)
    assert paired_difference(ours, baseline).value == pytest.approx(10 / 5 - 10 / 6)
    mean = scores(values)
    assert paired_difference(ours, scores(values, None, strata)).value == pytest.approx(2 - 10 / 4)
    for other in (mean, scores(values, None, strata[::-1])):
        with pytest.raises(ValueError, match="in other strata"):
            paired_difference(ours, other)


def test_items_of_other_documents_are_refused():
    ours, baseline = (scores(np.zeros(2), clusters=c) for c in (["d", "e"], ["d", "d"]))
    with pytest.raises(ValueError, match="in other clusters"):
        paired_difference(ours, baseline)


@pytest.mark.parametrize("value", [1.0, 0.5])
@pytest.mark.parametrize("num_documents", [2, 3])
def test_documents_that_differ_by_the_same_share_are_few_pairs(num_documents, value):
    """One of two items is won in every document: no spread between the documents, and no proof."""
    documents = [f"{i // 2}" for i in range(2 * num_documents)]
    ours = scores(np.tile([value, 0.0], num_documents), clusters=documents)
    difference = paired_difference(
        ours, scores(np.zeros(len(documents)), clusters=documents), is_fraction=True
    )
    assert difference.value == value / 2
    assert difference.interval.low < 0 < difference.interval.high
    assert 0.1 < difference.p_value < 1
    assert difference.num_items == 2 * num_documents


@pytest.mark.parametrize("num_items", [2, 3])
def test_an_average_without_spread_within_its_tasks_is_no_certainty(num_items):
    """All items of one task are won and none of the other's: the error of the average is 0."""
    task = np.repeat([0.0, 1.0], num_items)
    weights = np.full(2 * num_items, 0.5 / num_items)
    difference = paired_difference(
        scores(weights * (task == 0), weights, task), scores(0 * weights, weights, task)
    )
    assert difference.value == pytest.approx(0.5)
    assert difference.interval.low == -math.inf
    assert difference.p_value == 1
    equal = scores(weights * (task == 0), weights, task)
    same = paired_difference(equal, equal)
    assert (same.value, same.interval.low, same.interval.high, same.p_value) == (0, 0, 0, 1)


def test_equal_answers_to_all_tasks_of_an_average_have_an_interval():
    """Two tasks of 12 and 5 items, by hand: each has the adjusted error of 0 pairs that differ."""
    task = np.repeat([0.0, 1.0], [12, 5])
    weights = np.repeat([0.5 / 12, 0.5 / 5], [12, 5])
    right = scores(weights * (np.arange(17) % 3 == 0), weights, task)
    same = paired_difference(right, right, is_fraction=True)
    variances = (0.5 / 14) ** 2, (0.5 / 7) ** 2
    freedom = sum(variances) ** 2 / (variances[0] ** 2 / 11 + variances[1] ** 2 / 4)
    half = stats.t.ppf(0.975, freedom) * math.sqrt(sum(variances))
    assert (same.value, same.p_value, same.num_items) == (0, 1, 17)
    assert same.interval.low == pytest.approx(-half)
    assert same.interval.high == pytest.approx(half)
    assert same.method == "these checkpoints: adjusted matched pairs (Agresti–Min) over items"


def test_an_average_of_tasks_won_whole_and_lost_whole_is_bounded():
    """One task of 3 items is won whole, and none of 3: centers 3/5 and 0, halved."""
    task, weights = np.repeat([0.0, 1.0], 3), np.full(6, 0.5 / 3)
    difference = paired_difference(
        scores(weights * (task == 0), weights, task),
        scores(0 * weights, weights, task),
        is_fraction=True,
    )
    errors = 0.5 * math.sqrt(4 - 9 / 5) / 5, 0.5 * math.sqrt(1) / 5
    assert difference.value == pytest.approx(0.5)
    assert difference.interval.low + difference.interval.high == pytest.approx(2 * 0.5 * 3 / 5)
    variances = [error**2 for error in errors]
    freedom = sum(variances) ** 2 / sum(v**2 / 2 for v in variances)
    half = stats.t.ppf(0.975, freedom) * math.sqrt(sum(variances))
    assert difference.interval.high == pytest.approx(0.3 + half)


def test_two_equal_models_rarely_differ_over_two_documents():
    """Two documents of two items, each right in half of the cases: 5% of 4,000 draws or fewer."""
    right = np.random.default_rng(0).integers(0, 2, (4000, 2, 4)).astype(float)
    documents = ["a", "a", "b", "b"]
    found = [
        paired_difference(*(scores(values, clusters=documents) for values in pair)).verdict
        for pair in right
    ]
    assert sum(verdict != "not distinguishable" for verdict in found) < 0.06 * 4000


def test_a_difference_over_clusters_by_hand():
    """Documents a and b: won 2 of 3, lost 1 of 3; c: tied in 2.

    Sums of differences 2, -1, 0 of 3, 3, 2 items: D = 1/8, residuals 2 - 3/8, -1 - 3/8, -2/8;
    w = 3/8, 3/8, 2/8 and Σw² = 22/64: 1 / d = 38/64, 38/64, 54/64. As many as 8 items and 64/22
    documents of equal weight: a design effect of 8/√(3 · 64/22) if their items are alike. The
    squared errors of the items are 99/64, 83/64 and 2/64 by document, so that
    184²/(99² + 83² + 2²) documents count.
    """
    ours = scores(np.array([1.0, 1, 0, 0, 1, 1, 0, 1]), clusters=list("aaabbbcc"))
    baseline = scores(np.array([0.0, 0, 0, 1, 1, 1, 0, 1]), clusters=list("aaabbbcc"))
    difference = paired_difference(ours, baseline)
    residuals = np.array([13 / 8, -11 / 8, -2 / 8])
    variance = (residuals**2 / np.array([38, 38, 54]) * 64).sum() / 64
    as_items = 184 / 64 / 7 / 8
    counted = 184**2 / (99**2 + 83**2 + 2**2)
    effect = (counted * variance / as_items + 6 * 8 / math.sqrt(3 * 64 / 22)) / (counted + 6)
    n = 8 / effect
    adjusted = n**2 * variance * (1 - 22 / 64) + 1 + 2 / 8**2 * n / (n + 2)
    assert difference.value == pytest.approx(1 / 8)
    _, freedom = corrections(np.array([3, 3, 2]) / 8)
    half = stats.t.ppf(0.975, freedom) * math.sqrt(adjusted) / (n + 2)
    assert difference.interval.high == pytest.approx(1 / 8 * n / (n + 2) + half)
    assert difference.interval.low == pytest.approx(1 / 8 * n / (n + 2) - half)
    assert difference.num_items == 8
    assert difference.method == (
        "these checkpoints: adjusted matched pairs (Agresti–Min) over clusters of items"
    )


def test_equal_models_are_rarely_told_apart_by_items_of_few_documents():
    """30 documents of 1 to 8 items; a document suits one model or the other, by chance."""
    rng = np.random.default_rng(7)
    told_apart = {"documents": 0, "items": 0}
    for _ in range(400):
        sizes = rng.integers(1, 9, 30)
        document = np.repeat(np.arange(30), sizes)
        ease = rng.normal(0, 1, (2, 30))[:, document]
        right = (ease + rng.normal(0, 1, ease.shape) > 0).astype(float)
        for name, clusters in (("documents", [f"{d}" for d in document]), ("items", None)):
            pair = [scores(values, clusters=clusters) for values in right]
            told_apart[name] += paired_difference(*pair).verdict != "not distinguishable"
    assert told_apart["documents"] <= 32  # 20 expected; more than 32 in 0.4% of such campaigns
    assert told_apart["items"] > 50


def test_a_stratum_of_one_row_leaves_the_interval_open():
    # A source with one held-out row has no standard error, so an average over it has none either.
    ours = scores(np.array([2.0, 6.0]), np.array([1.0, 2.0]), np.array([0.0, 1.0]))
    baseline = scores(np.array([1.0, 5.0]), np.array([1.0, 2.0]), np.array([0.0, 1.0]))
    difference = paired_difference(ours, baseline)
    assert difference.value == pytest.approx(2 / 3)
    assert difference.interval.high == math.inf
    assert (difference.verdict, difference.p_value) == ("not distinguishable", 1.0)


def test_empty_rows_are_no_sample():
    ours = scores(np.array([2.0, 0.0]), np.array([1.0, 0.0]))
    baseline = scores(np.array([1.0, 0.0]), np.array([1.0, 0.0]))
    difference = paired_difference(ours, baseline)
    assert (difference.value, difference.num_items) == (1.0, 1)
    assert difference.interval.low == -math.inf


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_leaves_the_interval_open(bad):
    weights = np.ones(4)
    ours = scores(np.array([1.0, 2.0, bad, 1.0]), weights)
    baseline = scores(np.array([1.0, 1.0, 2.0, 1.0]), weights)
    difference = paired_difference(ours, baseline)
    assert not math.isfinite(difference.value)
    assert (difference.interval.low, difference.interval.high) == (-math.inf, math.inf)
    assert difference.p_value == 1.0


def test_a_cluster_in_two_strata_errs_in_both_at_once():
    """Each document is in both sources with the same scores: no more is known than of one."""
    rng = np.random.default_rng(4)
    values, clusters = rng.normal(1, 1, 20), [f"document {number}" for number in range(20)]
    once = paired_difference(
        scores(values, clusters=clusters), scores(np.zeros(20), clusters=clusters)
    )
    twice = [
        scores(np.tile(one, 2), np.ones(40), np.repeat([0.0, 1.0], 20), clusters=clusters * 2)
        for one in (values, np.zeros(20))
    ]
    difference = paired_difference(*twice)
    assert difference.value == pytest.approx(once.value)
    assert difference.interval.low == pytest.approx(once.interval.low)
    assert difference.interval.high == pytest.approx(once.interval.high)


@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_bits_below_one_are_no_fractions(scale: float) -> None:
    """Bits per answer of good models: their interval does not depend on the unit."""
    rng = np.random.default_rng(0)
    bits = rng.gamma(2.0, 0.04, size=30)
    noise = rng.normal(0.01, 0.01, size=30)
    documents = [f"d{place // 3}" for place in range(30)]
    ours, baseline = (scores(scale * of, clusters=documents) for of in (bits + noise, bits))
    found = paired_difference(ours, baseline)
    of_documents = scale * noise.reshape(10, 3).mean(axis=1)
    half = stats.t.ppf(0.975, 9) * stats.sem(of_documents)
    assert found.interval.high - found.value == pytest.approx(half)
    assert found.method.startswith("these checkpoints: paired")
