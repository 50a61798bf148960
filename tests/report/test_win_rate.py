"""Win rates by hand, against the interval of matched pairs, and by simulation."""

import math

import numpy as np
import pytest

from codepretrain.evals.judge.match import Judgment, Outcome, outcome
from codepretrain.report.paired import PairedScores, paired_difference
from codepretrain.report.statistics import wilson_interval
from codepretrain.report.win_rate import mean_of_signs, order_effect, win_rate

W, T, L, U = "win", "tie", "loss", "unreadable"


def judged(*pairs: tuple[str | None, str | None], category: str = "") -> list[Judgment]:
    return [Judgment(f"p{i}", category, pair) for i, pair in enumerate(pairs)]  # type: ignore[arg-type]


def test_shares_by_hand() -> None:
    """
    prompt  variant first  reference first  score
    0       win            win              +1
    1       win            loss              0
    2       tie            win              +1/2
    3       loss           unreadable       -1/2
    4       loss           (missing)         -
    """
    rate = win_rate(judged((W, W), (W, L), (T, W), (L, U), (L, None)))
    assert (rate.num_prompts, rate.num_missing, rate.num_identical) == (4, 1, 0)
    values = [getattr(rate, name).value for name in ("win", "tie", "loss", "unreadable")]
    assert values == [4 / 8, 1 / 8, 2 / 8, 1 / 8]
    assert rate.difference.value == (1 + 0 + 0.5 - 0.5) / 4
    center, second = 1 / 6, (1 + 0.25 + 0.25 + 1) / 6
    half = 3.182446305284263 * math.sqrt((second - center**2) / 6)  # Student's t, 3 degrees
    assert rate.difference.interval.low == pytest.approx(center - half)
    assert rate.difference.interval.high == pytest.approx(center + half)


def test_a_judge_that_only_looks_at_the_order_gives_no_winner() -> None:
    judgments = judged(*[(W, L)] * 50)
    rate, order = win_rate(judgments), order_effect(judgments)
    assert (rate.win.value, rate.loss.value, rate.difference.value) == (0.5, 0.5, 0)
    assert rate.p_value == 1
    assert (order.agreement.value, order.first.value, order.num_prompts) == (0, 1, 50)
    assert order.kappa == 0, "always win and always loss: no agreement is expected"
    second = order_effect(judged(*[(L, W)] * 50))
    assert second.first.value == -1
    assert second.first.interval.high < -0.8


def test_a_judge_that_does_not_look_at_the_order() -> None:
    order = order_effect(judged(*[(W, W)] * 6, *[(L, L)] * 3, (T, T)))
    assert (order.agreement.value, order.first.value) == (1, 0)
    assert order.kappa == 1
    assert math.isnan(order_effect(judged((W, W), (W, W))).kappa), "chance gives it too"


def test_judgments_of_one_prompt_by_several_pairs_of_runs_are_averaged() -> None:
    """Two pairs of runs, two prompts: each prompt is one observation."""
    order = order_effect([*judged((W, W), (W, L)), *judged((W, L), (L, L))])
    assert (order.num_prompts, order.agreement.value, order.first.value) == (2, 0.5, 0.5)


def test_kappa_by_hand() -> None:
    """Order 0: 3 wins, 1 loss; order 1: 2 wins, 2 losses; they agree on 3 of 4."""
    order = order_effect(judged((W, W), (W, W), (W, L), (L, L)))
    chance = 3 / 4 * 2 / 4 + 1 / 4 * 2 / 4
    assert order.kappa == pytest.approx((3 / 4 - chance) / (1 - chance))


def test_the_order_is_judged_by_readable_verdicts_of_different_completions() -> None:
    same = Judgment("same", "", ("tie", "tie"), is_asked=False)
    order = order_effect([*judged((W, W), (W, U), (None, L)), same])
    assert order.num_prompts == 1
    rate = win_rate([*judged((W, W)), same])
    assert (rate.num_prompts, rate.num_identical, rate.tie.value) == (2, 1, 0.5)


def test_consistent_verdicts_have_the_interval_of_matched_pairs() -> None:
    """Both orders agree, so a prompt is one pair of answers, of which at most one is better."""
    signs = [1] * 3100 + [-1] * 2950 + [0] * 3950  # so many that Student's t is normal
    rate, p_value = mean_of_signs(signs)
    ids = [str(number) for number in range(len(signs))]
    ours, theirs = (
        PairedScores(ids=ids, clusters=ids, values=np.array([s == sign for s in signs], np.float64))
        for sign in (1, -1)
    )
    expected = paired_difference(ours, theirs)
    assert rate.value == pytest.approx(expected.value)
    assert rate.interval.low == pytest.approx(expected.interval.low, abs=1e-5)
    assert rate.interval.high == pytest.approx(expected.interval.high, abs=1e-5)
    assert p_value == pytest.approx(expected.p_value, rel=0.01)


@pytest.mark.parametrize("num_prompts", [2, 3, 4, 5, 6, 8, 10, 15, 20, 40])
def test_few_prompts_of_equal_models_seldom_differ(num_prompts: int) -> None:
    """Exact: each prompt is won or lost with probability 1/2. The nominal rate is 5%.

    With the normal quantile it would be 25% for three prompts.
    """
    total = 0.0
    for wins in range(num_prompts + 1):
        rate, p_value = mean_of_signs([1] * wins + [-1] * (num_prompts - wins))
        differs = rate.interval.low > 0 or rate.interval.high < 0
        assert differs == (p_value < 0.05)
        total += differs * math.comb(num_prompts, wins) / 2**num_prompts
    assert total <= 0.0704


def test_two_orders_that_agree_count_once() -> None:
    rate = win_rate(judged(*[(W, W)] * 30, *[(L, L)] * 70))
    expected = wilson_interval(0.3, 100)
    assert rate.win.interval.low == pytest.approx(expected.low, abs=0.002)
    assert rate.win.interval.high == pytest.approx(expected.high, abs=0.002)


def test_extreme_shares_keep_an_interval() -> None:
    rate = win_rate(judged(*[(W, W)] * 5))
    assert rate.win.value == 1
    assert rate.win.interval == wilson_interval(1.0, 5)
    assert (rate.loss.value, rate.loss.interval) == (0, wilson_interval(0.0, 5))
    assert 0 < rate.difference.interval.low < 1
    assert rate.difference.interval.high == 1


def test_one_prompt_says_nothing_about_others() -> None:
    rate = win_rate(judged((W, W)))
    assert (rate.difference.value, rate.p_value) == (1, 1)
    assert (rate.difference.interval.low, rate.difference.interval.high) == (-1, 1)


def test_nothing_judged_is_nothing_known() -> None:
    rate = win_rate(judged((None, W)))
    assert math.isnan(rate.win.value)
    assert math.isnan(rate.difference.value)
    assert (rate.difference.interval.low, rate.difference.interval.high) == (-1, 1)
    assert rate.p_value == 1


@pytest.mark.parametrize("bias", [0.0, 0.4])
@pytest.mark.parametrize("advantage", [0.0, 0.2])
def test_intervals_cover_the_truth_under_position_bias(bias: float, advantage: float) -> None:
    """1,000 studies of 200 prompts: the judge looks at the order alone with probability `bias`,
    else at the completions, of which ours is better with probability 1/2 + advantage/2."""
    rng = np.random.default_rng(0)
    num_studies, num_prompts = 1000, 200
    truth = (1 - bias) * advantage
    is_better = rng.random((num_studies, num_prompts)) < 0.5 + advantage / 2
    blind = rng.random((num_studies, num_prompts, 2)) < bias
    num_covered = 0
    for study in range(num_studies):
        judgments = []
        for prompt in range(num_prompts):
            outcomes: list[Outcome] = []
            for order in (0, 1):
                prefers_first = blind[study, prompt, order] or (
                    is_better[study, prompt] == (order == 0)
                )
                outcomes.append(outcome("first" if prefers_first else "second", order))
            judgments.append(Judgment(str(prompt), "", (outcomes[0], outcomes[1])))
        interval = win_rate(judgments).difference.interval
        num_covered += interval.low <= truth <= interval.high
    assert 0.93 <= num_covered / num_studies <= 0.97
