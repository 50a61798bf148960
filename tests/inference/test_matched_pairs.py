import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from codepretrain.inference.crossed import contrast, difference
from codepretrain.inference.effects import chance_centered
from codepretrain.inference.estimate import Estimate
from codepretrain.inference.scores import ArmScores


def arm(values, clusters=None, **kwargs) -> ArmScores:
    values = np.atleast_2d(np.asarray(values, float))
    ids = [f"i{place}" for place in range(values.shape[1])]
    return ArmScores(ids=ids, clusters=clusters or ids, values=values, **kwargs)


def compared(ours: ArmScores, baseline: ArmScores) -> Estimate:
    return difference(ours, baseline, between="checkpoints")


def documents(num: int, size: int) -> list[str]:
    return [f"d{place // size}" for place in range(num * size)]


def test_single_items_have_the_interval_of_agresti_and_min() -> None:
    """9 won and 2 lost of 30: half a one more in each of four cells."""
    ours, baseline = np.zeros(30), np.zeros(30)
    ours[:9], baseline[9:11] = 1, 1
    found = compared(arm(ours), arm(baseline))
    half = stats.t.ppf(0.975, 29) * math.sqrt(12 - 49 / 32) / 32
    assert found.value == pytest.approx(7 / 30)
    assert found.center == pytest.approx(7 / 32)
    assert found.interval.low == pytest.approx(7 / 32 - half)
    assert found.interval.high == pytest.approx(7 / 32 + half)
    assert found.p_value == pytest.approx(2 * found.one_sided_p("higher"))


def test_one_item_that_differs_says_little_of_its_document() -> None:
    """22 documents of 7: an estimated design effect of 1 by one document, and 7 by six."""
    clusters = documents(22, 7)
    nothing, once = np.zeros(154), np.zeros(154)
    once[0] = 1
    found = compared(arm(once, clusters), arm(nothing, clusters))
    share = 1 / 154
    # 153/154 and the error of the item that differs, 1/154 and those of the others, by document.
    of_first = (1 - share) ** 2 + 6 * share**2
    counted = (1 - share) ** 2 / (of_first**2 + 21 * (7 * share**2) ** 2)
    n = 154 / ((counted * 1 + 6 * 7) / (counted + 6))
    of_documents = (1 - 1 / 22) / 154**2  # Σ(sum of a document - 7/154)², over 154²
    variance = (n**2 * of_documents + 1 + 2 * share**2 * n / (n + 2)) / (n + 2) ** 2
    assert found.standard_error == pytest.approx(math.sqrt(variance), rel=1e-3)
    assert found.interval.low < 0 < found.interval.high


def test_right_answers_that_are_all_of_one_document_count_as_one() -> None:
    clusters = documents(12, 5)
    ours = np.repeat([1.0] + [0.0] * 11, 5)
    found = compared(arm(ours, clusters), arm(np.zeros(60), clusters))
    alone = compared(arm([1.0] + [0.0] * 11), arm(np.zeros(12)))
    assert found.interval.low == pytest.approx(alone.interval.low)
    assert found.interval.high == pytest.approx(alone.interval.high)


def test_many_independent_items_count_nearly_as_items() -> None:
    rng, clusters = np.random.default_rng(0), documents(200, 5)
    pair = [arm((rng.random(1000) < 0.3).astype(float), clusters) for _ in range(2)]
    found = compared(*pair)
    singles = compared(*(replace(of, clusters=of.ids) for of in pair))
    assert found.standard_error == pytest.approx(singles.standard_error, rel=0.15)


def test_a_rare_answer_of_one_task_does_not_hide_behind_another_task() -> None:
    """Task b of 10 items is equal: the variance has its two pairs though task a varies more."""
    rng = np.random.default_rng(1)
    strata, weights = np.repeat([0.0, 1.0], [40, 10]), np.repeat([0.5 / 40, 0.5 / 10], [40, 10])
    values = [np.r_[(rng.random(40) < 0.5), np.zeros(10)] * weights for _ in range(2)]
    average = compared(
        *(arm(of, weights=weights[None], strata=strata, item_range=1.0) for of in values)
    )
    first = compared(*(arm(of[:40] * 80) for of in values))
    expected = math.hypot(first.standard_error / 2, 0.5 / 12)
    assert average.standard_error == pytest.approx(expected)
    assert average.center == pytest.approx(first.center / 2)


def test_the_range_of_a_centered_score_is_that_of_its_items() -> None:
    """(a - ¼)/(1 - ¼) is 4/3 from wrong to right: everything is 4/3 as wide."""
    rng = np.random.default_rng(2)
    pair = [arm((rng.random(20) < share).astype(float)) for share in (0.02, 0.1)]
    raw = compared(*pair)
    centered = compared(*(chance_centered(of, 0.25) for of in pair))
    assert centered.center == pytest.approx(raw.center * 4 / 3)
    assert centered.standard_error == pytest.approx(raw.standard_error * 4 / 3)


def test_tasks_of_other_chance_have_ranges_of_their_own() -> None:
    """Equal answers to 8 items with a chance of ½ and 18 with ¼: ranges of 2 and 4/3."""
    sizes, ranges = [8, 18], [2.0, 4 / 3]
    weights = np.repeat([0.5 / size for size in sizes], sizes)
    scores = arm(
        np.zeros(26),
        weights=weights[None],
        strata=np.repeat([0, 1], sizes),
        item_range=np.repeat(ranges, sizes),
    )
    found = compared(scores, scores.take(np.arange(26)[::-1]))
    assert found.standard_error == pytest.approx(0.5 * math.hypot(2 / 10, 4 / 3 / 20))


def test_a_difference_of_differences_has_the_pairs_of_both() -> None:
    nothing = arm(np.zeros(30))
    once = compared(nothing, nothing)
    twice = contrast([nothing] * 4, [1, -1, -1, 1], between="checkpoints")
    assert twice.standard_error == pytest.approx(once.standard_error * math.sqrt(2))


def test_recipes_keep_their_value_and_get_no_less_variance() -> None:
    """Around the value itself, with the square of what two pairs would move it."""
    rng = np.random.default_rng(3)
    pair = [arm((rng.random((3, 40)) < share).astype(float)) for share in (0.7, 0.2)]
    found = difference(*pair)
    gaps = pair[0].values.mean(axis=0) - pair[1].values.mean(axis=0)
    own, gap = gaps.var(ddof=1) / 40, gaps.mean()
    pairs = (40**2 * own * 39 / 40 + 1 + 2 * gap**2 * 40 / 42) / 42**2 + (2 * gap / 42) ** 2
    assert found.center == found.value == pytest.approx(gap)
    assert found.components.item == pytest.approx(max(own, pairs))
    assert pairs > own


def test_equal_losses_of_checkpoints_do_not_differ_and_those_of_recipes_are_unknown() -> None:
    losses = np.random.default_rng(4).normal(5, 1, 12)
    same = compared(arm(losses), arm(losses))
    assert (same.value, same.interval.low, same.interval.high, same.p_value) == (0, 0, 0, 1)
    recipes = difference(arm(np.tile(losses, (2, 1))), arm(np.tile(losses, (2, 1))))
    assert recipes.interval.high == math.inf


@pytest.mark.parametrize(("num_documents", "size"), [(12, 1), (22, 7), (6, 7)])
@pytest.mark.parametrize("correlation", [0.0, 0.3, 1.0])
def test_rare_answers_are_covered(num_documents: int, size: int, correlation: float) -> None:
    """Rates of 5% and 1%; a short version of tests/campaigns/test_statistics_of_rare_answers.py."""
    rng, draws = np.random.default_rng(5), 300
    clusters = documents(num_documents, size)
    covered = 0
    for _ in range(draws):
        pair = []
        for rate in (0.05, 0.01):
            shared = np.repeat(rng.normal(size=num_documents), size)
            own = rng.normal(size=num_documents * size)
            latent = math.sqrt(correlation) * shared + math.sqrt(1 - correlation) * own
            pair.append(arm((latent < stats.norm.ppf(rate)).astype(float), clusters))
        interval = compared(*pair).interval
        covered += interval.low <= 0.04 <= interval.high
    assert covered / draws >= 0.95 - 2 * math.sqrt(0.05 * 0.95 / draws)


def many_tasks(num: int, won: int, lost: int, size: int, *, prefix: str = "t{}/") -> Estimate:
    """Returns the difference in the average of tasks of a size, with items won and lost in each."""
    ours, baseline = np.zeros((num, size)), np.zeros((num, size))
    ours[:, :won], baseline[:, won : won + lost] = 1, 1
    names = [prefix.format(task) + str(i) for task in range(num) for i in range(size)]
    weights = np.full((1, num * size), 1 / num / size)
    arms = [
        ArmScores(
            ids=[f"i{place}" for place in range(num * size)],
            clusters=names,
            values=values.reshape(1, -1) * weights,
            weights=weights,
            strata=np.repeat(np.arange(num), size),
            item_range=1.0,
        )
        for values in (ours, baseline)
    ]
    return compared(*arms)


def test_the_pairs_of_many_small_tasks_do_not_move_the_interval_off_the_difference() -> None:
    """All pairs of 20 tasks of 6 items would take off 0.1, which is 2 standard errors."""
    one, many = many_tasks(1, 3, 1, 6), many_tasks(20, 3, 1, 6)
    assert many.value == pytest.approx(1 / 3)
    assert one.value - one.center == pytest.approx(1 / 3 * 2 / 8)
    assert many.value - many.center == pytest.approx(1 / 3 * 2 / 8 / math.sqrt(20))
    kept = 6 + 2 * (1 - 1 / math.sqrt(20))
    gap = 1 / 3
    variance = (kept**2 * (4 / 6 - gap**2) / 6 + 1 + 2 * gap**2 * 6 / 8) / 8**2
    assert many.standard_error == pytest.approx(math.sqrt(variance / 20))
    assert many.interval.low <= many.value <= many.interval.high


def test_an_average_of_many_small_tasks_covers_the_true_difference() -> None:
    """20 tasks of 6 items, 70 and 30% right; with all shifts, 48% of intervals did."""
    rng = np.random.default_rng(0)
    weights = np.full((1, 120), 1 / 120)
    names = [f"i{place}" for place in range(120)]
    covered = 0
    for _ in range(300):
        arms = [
            ArmScores(
                ids=names,
                clusters=names,
                values=(rng.random((1, 120)) < rate) * weights,
                weights=weights,
                strata=np.repeat(np.arange(20), 6),
                item_range=1.0,
            )
            for rate in (0.7, 0.3)
        ]
        interval = compared(*arms).interval
        covered += interval.low <= 0.4 <= interval.high
    assert covered / 300 >= 0.95 - 2 * math.sqrt(0.05 * 0.95 / 300)


@pytest.mark.parametrize(("won", "lost"), [(0, 0), (2, 0)])
def test_scores_that_are_in_an_average_twice_tell_no_more_than_once(won: int, lost: int) -> None:
    """Four scores of the same items, such as accuracies by two rules."""
    one, again = many_tasks(1, won, lost, 60), many_tasks(4, won, lost, 60, prefix="")
    assert again.center == pytest.approx(one.center)
    assert again.standard_error >= one.standard_error * (1 - 1e-12)
    assert again.standard_error <= one.standard_error * 1.03
    assert again.freedom <= one.freedom + 1e-9
