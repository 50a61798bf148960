import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from codepretrain.inference.crossed import contrast, difference
from codepretrain.inference.scores import ArmScores
from codepretrain.report.paired import PairedScores, paired_difference
from tests.inference.simulated import Scenario

RNG = np.random.default_rng(0)


def arm(values, clusters=None, **kwargs) -> ArmScores:
    ids = [f"i{place}" for place in range(np.shape(values)[1])]
    return ArmScores(ids=ids, clusters=clusters or ids, values=np.asarray(values, float), **kwargs)


def test_components_of_one_arm_are_the_mean_squares_of_a_two_way_table() -> None:
    y = np.array([[1.0, 4.0, 3.0, 2.5], [2.0, 6.0, 3.5, 3.0], [4.0, 5.0, 7.0, 2.0]])
    s, n = y.shape
    rows, columns, mean = y.mean(axis=1), y.mean(axis=0), y.mean()
    ms_seed = n * np.sum((rows - mean) ** 2) / (s - 1)
    ms_item = s * np.sum((columns - mean) ** 2) / (n - 1)
    rest = y - rows[:, None] - columns + mean
    ms_rest = np.sum(rest**2) / (s - 1) / (n - 1)
    found = contrast([arm(y)], [1.0])
    assert found.value == pytest.approx(mean)
    assert found.components.seed == pytest.approx(ms_seed / s / n)
    assert found.components.item == pytest.approx(ms_item / s / n)
    assert found.components.residual == pytest.approx(ms_rest / s / n)
    expected = max(ms_seed, ms_seed + ms_item - ms_rest) / s / n
    assert found.standard_error**2 == pytest.approx(expected)


def test_runs_alone_give_welchs_test() -> None:
    """Items that are all alike: the number of items must not matter."""
    ours, baseline = np.array([3.1, 2.2, 2.9]), np.array([1.0, 1.9, 0.4])
    one = difference(arm(np.tile(ours[:, None], 50)), arm(np.tile(baseline[:, None], 50)))
    welch = stats.ttest_ind(ours, baseline, equal_var=False)
    assert one.p_value == pytest.approx(welch.pvalue)
    assert one.freedom == pytest.approx(welch.df)
    low, high = welch.confidence_interval()
    assert (one.interval.low, one.interval.high) == pytest.approx((low, high))


def test_welchs_freedom_is_bounded_where_one_arm_has_far_fewer_replicates() -> None:
    ours, baseline = np.array([3.1, 3.2]), np.array([1.0, 1.9, 0.4, 2.0, 1.1, 0.2, 1.4, 0.9])
    one = difference(arm(np.tile(ours[:, None], 9)), arm(np.tile(baseline[:, None], 9)))
    welch = stats.ttest_ind(ours, baseline, equal_var=False)
    of_equal_spreads = (1 / 2 + 1 / 8) ** 2 / ((1 / 2) ** 2 / 1 + (1 / 8) ** 2 / 7)
    assert one.freedom == pytest.approx(math.sqrt(welch.df * of_equal_spreads))


def test_items_alone_give_the_paired_t_test() -> None:
    ours, baseline = RNG.normal(3, 1, 12), RNG.normal(2, 1, 12)
    one = difference(arm(np.tile(ours, (4, 1))), arm(np.tile(baseline, (4, 1))))
    paired = stats.ttest_rel(ours, baseline)
    assert one.p_value == pytest.approx(paired.pvalue)
    assert one.freedom == pytest.approx(11)


def test_paired_replicates_give_the_t_test_of_their_differences() -> None:
    ours, baseline = np.array([3.1, 2.2, 2.9, 5.0]), np.array([2.0, 1.9, 1.4, 4.1])
    arms = [arm(np.tile(of[:, None], 20)) for of in (ours, baseline)]
    one = difference(*arms, is_paired=True)
    assert one.p_value == pytest.approx(stats.ttest_rel(ours, baseline).pvalue)
    assert one.p_value < difference(*arms).p_value


def test_items_of_a_cluster_count_as_one() -> None:
    values = RNG.normal(size=(3, 10)), RNG.normal(size=(3, 10))
    single = difference(*(arm(of) for of in values))
    names = [f"c{place}" for place in range(10) for _ in range(5)]
    repeated = difference(*(arm(np.repeat(of, 5, axis=1), names) for of in values))
    assert repeated.standard_error == pytest.approx(single.standard_error)
    assert repeated.freedom == pytest.approx(single.freedom)
    assert (repeated.num_items, repeated.num_clusters) == (50, 10)


def test_checkpoints_are_compared_as_the_report_compares_them() -> None:
    scenario = Scenario(num_replicates=(1, 1), kind="weighted", are_unequal=True)
    ours, baseline = scenario.draw(np.random.default_rng(3))
    strata = np.arange(len(ours.ids)) % 2
    ours, baseline = (replace(of, strata=strata) for of in (ours, baseline))
    one = difference(ours, baseline, between="checkpoints")
    expected = paired_difference(
        *(
            PairedScores(
                ids=of.ids,
                clusters=of.clusters,
                values=of.values[0],
                weights=of.weights[0],
                strata=strata,
            )
            for of in (ours, baseline)
        )
    )
    assert one.value == pytest.approx(expected.value)
    assert one.interval == expected.interval
    assert one.method.startswith("these checkpoints")


def test_one_replicate_says_nothing_about_recipes() -> None:
    one, two = arm(RNG.normal(size=(1, 9))), arm(RNG.normal(size=(2, 9)))
    with pytest.raises(ValueError, match=r"at least 2 replicates in every arm, found \(1, 2\)"):
        difference(one, two)


def test_paired_arms_need_equally_many_replicates() -> None:
    with pytest.raises(ValueError, match=r"same number of replicates in every arm, found \(2, 3\)"):
        difference(arm(RNG.normal(size=(2, 9))), arm(RNG.normal(size=(3, 9))), is_paired=True)


def test_items_are_paired_by_id_in_any_order() -> None:
    ours, baseline = Scenario(kind="binary", are_unequal=True).draw(np.random.default_rng(1))
    shuffled = baseline.take(RNG.permutation(len(baseline.ids)))
    assert difference(ours, shuffled) == difference(ours, baseline)
    with pytest.raises(ValueError, match=r"cannot pair .* only here, none only in arm 1"):
        difference(ours, baseline.take(np.arange(5)))


def test_equal_answers_everywhere_are_not_exact() -> None:
    """Two more pairs for a bounded score; for others the spread is unknown."""
    ones = arm(np.ones((3, 98)))
    found = difference(ones, ones)
    assert found.value == 0
    assert found.standard_error == pytest.approx(1 / 100)
    unbounded = difference(arm(np.full((3, 98), 7.0)), arm(np.full((3, 98), 7.0)))
    assert (unbounded.interval.low, unbounded.interval.high) == (-math.inf, math.inf)
    assert unbounded.p_value == 1


def test_weights_of_a_contrast() -> None:
    arms = Scenario(num_replicates=(3, 4, 5), effects=(0.0, 1.0, 2.0)).draw(RNG)
    assert contrast(arms, [1, -1, 0]) == replace(difference(*arms[:2]), num_replicates=(3, 4, 5))
    halved = contrast(arms, [0.5, -0.5, 0])
    assert halved.p_value == pytest.approx(difference(*arms[:2]).p_value)
    with pytest.raises(ValueError, match="expected one for each of 3 arms, found 2"):
        contrast(arms, [1, -1])
    with pytest.raises(ValueError, match="expected at least one that is not 0"):
        contrast(arms, [0, 0, 0])


@pytest.mark.parametrize(
    "scenario",
    [
        Scenario(effects=(0.2, 0.0)),
        Scenario(kind="binary", num_replicates=(3, 5), effects=(0.3, 0.0), are_unequal=True),
        Scenario(kind="weighted", num_replicates=(5, 5), run_sd=(0.05, 0.5), run_freedom=3),
    ],
    ids=["continuous", "binary", "weighted"],
)
def test_intervals_cover_the_true_difference(scenario: Scenario) -> None:
    """A short version of tests/campaigns/test_statistics.py; two standard errors are 2.5%."""
    means, rng = scenario.means(), np.random.default_rng(0)
    true, draws = means[0] - means[1], 300
    found = [difference(*scenario.draw(rng)) for _ in range(draws)]
    covered = np.mean([one.interval.low <= true <= one.interval.high for one in found])
    assert 0.925 <= covered <= 0.99


def test_equal_answers_to_a_small_task_of_an_average_leave_its_difference_unknown() -> None:
    """Tasks of 1,000 and 10 items with equal shares: the interval is no narrower than the 10's."""
    sizes = np.array([1000, 10])
    weights = np.tile(np.repeat(0.5 / sizes, sizes), (3, 1))
    average = arm(
        np.zeros((3, 1010)), weights=weights, strata=np.repeat([0, 1], sizes), item_range=1.0
    )
    small = arm(np.zeros((3, 10)))
    found = difference(average, average)
    assert found.standard_error == pytest.approx(np.hypot(0.5 / 1002, 0.5 / 12))
    assert found.standard_error >= difference(small, small).standard_error / 2


def test_spreads_of_rounding_errors_are_unknown() -> None:
    weights = np.tile(np.random.default_rng(0).lognormal(size=30), (3, 1))
    found = difference(arm(0.3 * weights, weights=weights), arm(0.1 * weights, weights=weights))
    assert found.value == pytest.approx(0.2)
    assert (found.p_value, found.interval.high) == (1.0, math.inf)
    assert math.isnan(found.standard_error)


def test_the_same_scores_of_unequally_many_runs_do_not_differ() -> None:
    """Means over 2 and 3 runs of one score differ by rounding, which is no finding."""
    scores = 2 + np.sin(np.arange(30))
    weights = np.random.default_rng(4).integers(50, 150, 30).astype(float)
    two, three = (
        arm(np.tile(scores * weights, (count, 1)), weights=np.tile(weights, (count, 1)))
        for count in (2, 3)
    )
    found = difference(two, three)
    assert (found.value, found.p_value) == (0.0, 1.0)
