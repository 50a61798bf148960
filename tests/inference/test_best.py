import numpy as np
import pytest
from scipy import stats

from codepretrain.inference.best import probability_of_best
from codepretrain.inference.linearized import linearize
from codepretrain.inference.scores import ArmScores
from tests.inference.simulated import Scenario


def arm(runs, num_items: int = 20) -> ArmScores:
    ids = [f"{place}" for place in range(num_items)]
    values = np.tile(np.asarray(runs, float)[:, None], num_items)
    return ArmScores(ids=ids, clusters=ids, values=values)


def test_two_arms_that_differ_by_runs() -> None:
    """A sure arm against one with Student's error: the probability is a tail of t."""
    ours, sure = np.array([2.0, 2.6, 2.3, 2.9]), np.array([2.2, 2.2])
    found = probability_of_best(linearize([arm(ours), arm(sure)]))
    t = (ours.mean() - 2.2) / (ours.std(ddof=1) / 2)
    assert found[0] == pytest.approx(stats.t.cdf(t, 3), abs=0.01)
    assert found.sum() == pytest.approx(1)
    lower = probability_of_best(linearize([arm(ours), arm(sure)]), is_higher_better=False)
    assert lower[1] == pytest.approx(found[0], abs=0.01)


def test_shared_difficulty_of_items_does_not_blur_the_order() -> None:
    """Difficulty has a spread of 5, the arms differ by 0.5 on every item."""
    scenario = Scenario(
        effects=(0.0, 0.5), difficulty_sd=5.0, run_sd=(0.01,), arm_sd=0.01, rest_sd=0.0
    )
    found = probability_of_best(linearize(scenario.draw(np.random.default_rng(0))))
    assert found[1] > 0.99


def test_equal_arms_are_about_equally_likely() -> None:
    rng, scenario = np.random.default_rng(0), Scenario(num_replicates=(3,) * 4, effects=(0.0,) * 4)
    found = np.mean([probability_of_best(linearize(scenario.draw(rng))) for _ in range(30)], axis=0)
    assert found == pytest.approx([0.25] * 4, abs=0.12)
    with pytest.raises(ValueError, match="at least 2 replicates"):
        probability_of_best(linearize([arm([1.0]), arm([1.0, 2.0])]))


def test_a_single_cluster_has_no_known_spread() -> None:
    ids = [f"{place}" for place in range(6)]
    draws = np.random.default_rng(0).normal(size=(2, 3, 6))
    arms = [ArmScores(ids=ids, clusters=["one"] * 6, values=of) for of in draws]
    with pytest.raises(ValueError, match="at least 2 clusters of items in every stratum"):
        probability_of_best(linearize(arms))


def test_arms_of_one_trunk_are_compared_trunk_by_trunk() -> None:
    """The trunks differ by 2, and on each the second cooldown is better by 0.1 ± 0.01."""
    trunks = np.array([1.0, 3.0, 2.0])
    gaps = np.array([0.1, 0.11, 0.09])
    arms = [arm(trunks), arm(trunks + gaps), arm([0.0, 0.1, 0.05])]
    together = probability_of_best(linearize(arms), groups=[0, 0, 2])
    assert together[1] > 0.95
    # The smaller one's probability is that of the paired difference, a tail of t.
    tail = stats.t.sf(gaps.mean() / (gaps.std(ddof=1) / np.sqrt(3)), 2)
    two = probability_of_best(linearize(arms[:2]), groups=[0, 0])
    assert two[0] == pytest.approx(tail, abs=0.003)
    apart = probability_of_best(linearize(arms))
    assert apart[0] > 0.3
    with pytest.raises(ValueError, match=r"same number of replicates in every arm, found \(3, 2\)"):
        probability_of_best(linearize([arms[0], arm([1.0, 2.0])]), groups=[0, 0])


def test_equal_arms_of_one_trunk_are_about_equally_likely() -> None:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(200):
        trunks = rng.normal(size=3)
        arms = [arm(trunks + 0.1 * rng.normal(size=3)) for _ in range(2)]
        found.append(probability_of_best(linearize(arms), groups=[0, 0])[0])
    assert np.mean(found) == pytest.approx(0.5, abs=0.07)
    # As the tail of a paired t-test, it is uniform where the arms are equal.
    assert np.mean(np.array(found) < 0.05) == pytest.approx(0.05, abs=0.05)


def test_equal_answers_to_a_few_items_are_no_certainty() -> None:
    nothing = ArmScores(ids=list("abcdefgh"), clusters=list("abcdefgh"), values=np.zeros((3, 8)))
    found = probability_of_best(linearize([nothing] * 4))
    assert found == pytest.approx([0.25] * 4, abs=0.02)


@pytest.mark.parametrize("is_higher_better", [True, False])
def test_arms_with_the_same_scores_share_the_probability(is_higher_better: bool) -> None:
    losses = np.random.default_rng(0).normal(5, 1, (3, 30))
    ids = [f"{place}" for place in range(30)]
    arms = [ArmScores(ids=ids, clusters=ids, values=losses) for _ in range(3)]
    for groups in ([0, 1, 1], [0, 0, 0]):
        found = probability_of_best(
            linearize(arms), groups=groups, is_higher_better=is_higher_better
        )
        assert found[1] == pytest.approx(found[2])
        assert groups != [0, 0, 0] or found == pytest.approx([1 / 3] * 3)
