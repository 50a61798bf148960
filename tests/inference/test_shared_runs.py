import pytest

from codepretrain.inference.shared_runs import factor_of_correlation, groups_of, largest_factor
from tests.inference.simulated_trees import FACTORIAL, main_effect

PATHS = {arm: frozenset(path) for arm, path in FACTORIAL.items()}


@pytest.mark.parametrize(("stage", "expected"), [(0, 2.0), (1, 1.0), (2, 0.5)])
def test_the_main_effects_of_a_factorial(stage: int, expected: float) -> None:
    """2·1² at the trunks, 4·(½)² at the continued runs, 8·(¼)² at the cooldowns."""
    weights = main_effect(stage)
    assert largest_factor(list(weights.values()), list(PATHS.values())) == expected


def test_one_part_of_a_tree_may_weigh_most_at_its_root_and_another_at_its_leaves() -> None:
    # a and b: (½ + ½)² at their trunk; c and d: 1² + 1² apart, for they cancel at theirs.
    paths = [frozenset(of) for of in (("t", "a"), ("t", "b"), ("u", "c"), ("u", "d"))]
    assert largest_factor([0.5, 0.5, 1.0, -1.0], paths) == 1 + 2
    assert largest_factor([0.5, 0.5], paths[::2]) == 0.5, "no run in common"
    assert largest_factor([3.0], paths[:1]) == 9


def test_replicates_that_share_runs_are_a_group() -> None:
    arms = [[frozenset(("t", "x")), frozenset(("t1", "x1"))] for _ in range(2)]
    alone = [frozenset(("u", "y")), frozenset(("u1", "y1"))]
    assert groups_of([*arms, alone]) == [0, 0, 2]
    everyone = [frozenset(("base", "t")), frozenset(("base", "t1"))]
    assert groups_of([everyone, [frozenset(("base", "u"))]]) == [0, 1], "base is nobody's own"


def test_an_equal_correlation() -> None:
    assert factor_of_correlation([0.5, 0.5], 0.0) == 0.5
    assert factor_of_correlation([0.5, 0.5], 1.0) == 1.0
    assert factor_of_correlation([1.0, -1.0], 0.7) == pytest.approx(2 * 0.3)
