import numpy as np
import pytest

from codepretrain.inference.crossed import difference, linear_contrast
from codepretrain.inference.linearized import linearize
from tests.inference.aggregate import aggregate
from tests.inference.simulated import Scenario

SMALL = Scenario(num_clusters=30, are_unequal=True)
LARGE = Scenario(num_clusters=80)


def test_one_task_is_its_own_average() -> None:
    arms = SMALL.draw(np.random.default_rng(0))
    found = linear_contrast(aggregate({"boolq": arms}), [1, -1])
    alone = difference(*arms)
    assert found.value == pytest.approx(alone.value)
    assert found.standard_error == pytest.approx(alone.standard_error)
    assert found.freedom == pytest.approx(alone.freedom)


def test_items_add_and_runs_are_averaged_first() -> None:
    rng = np.random.default_rng(0)
    runs = SMALL.draw_runs(rng)
    tasks = {"boolq": SMALL.draw(rng, runs), "copa": LARGE.draw(rng, runs)}
    found = linear_contrast(aggregate(tasks, {"boolq": 3, "copa": 1}), [1, -1])
    each = [difference(*arms) for arms in tasks.values()]
    assert found.value == pytest.approx(0.75 * each[0].value + 0.25 * each[1].value)
    item = 0.75**2 * each[0].components.item + 0.25**2 * each[1].components.item
    assert found.components.item == pytest.approx(item)
    residual = 0.75**2 * each[0].components.residual + 0.25**2 * each[1].components.residual
    assert found.components.residual == pytest.approx(residual)
    means = [
        0.75 * tasks["boolq"][arm].metrics + 0.25 * tasks["copa"][arm].metrics for arm in (0, 1)
    ]
    assert found.components.seed == pytest.approx(sum(of.var(ddof=1) / 3 for of in means))
    assert found.num_clusters == 110


def test_equal_shares_unless_they_are_given() -> None:
    rng = np.random.default_rng(0)
    tasks = {"boolq": SMALL.draw(rng), "copa": LARGE.draw(rng)}
    expected = np.mean([linearize(arms).values for arms in tasks.values()], axis=0)
    np.testing.assert_allclose(aggregate(tasks).values, expected)


def test_messages() -> None:
    rng = np.random.default_rng(0)
    tasks = {"boolq": SMALL.draw(rng), "copa": Scenario(num_replicates=(3, 2)).draw(rng)}
    with pytest.raises(ValueError, match=r"replicates of boolq, \(3, 3\), found \(3, 2\) in copa"):
        aggregate(tasks)
    with pytest.raises(ValueError, match="expected the tasks boolq, copa; found boolq"):
        aggregate(tasks, {"boolq": 1.0})
    with pytest.raises(ValueError, match="expected at least one"):
        aggregate({})
    with pytest.raises(ValueError, match="shares: expected positive numbers, found"):
        aggregate({"a": SMALL.draw(rng), "b": SMALL.draw(rng)}, {"a": 1.0, "b": -1.0})
