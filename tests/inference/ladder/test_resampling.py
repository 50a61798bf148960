import numpy as np
import pytest

from codepretrain.inference.ladder.resampling import (
    bootstrap,
    leave_one_out,
    percentile_prediction,
)


def test_groups_are_drawn_whole() -> None:
    groups = ["a", "b", "a", "c"]
    seen = set()
    draws = list(bootstrap(4, lambda runs: True, groups=groups, num_draws=50, seed=0))
    assert len(draws) == 50
    for runs in draws:
        assert (runs == 0).sum() == (runs == 2).sum()
        seen.add(len(runs))
    assert seen >= {3, 4, 5}  # three groups, of two, one and one run


def test_independent_runs_are_drawn_singly_and_reproducibly() -> None:
    first, again = (list(bootstrap(5, lambda runs: True, num_draws=20, seed=3)) for _ in range(2))
    assert all(len(runs) == 5 for runs in first)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


def test_resamples_that_determine_no_law_are_replaced() -> None:
    def has_all_but_one(runs: np.ndarray) -> bool:
        return len(set(runs)) >= 3

    draws = list(bootstrap(4, has_all_but_one, num_draws=30, seed=0))
    assert len(draws) == 30
    assert all(len(set(runs)) >= 3 for runs in draws)


def test_too_few_runs_to_bootstrap() -> None:
    message = "cannot bootstrap 2 groups of runs: only 0 of 200 resamples determine the law"
    with pytest.raises(ValueError, match=message):
        list(bootstrap(2, lambda runs: False, num_draws=10, seed=0))


def test_each_run_is_predicted_from_the_others() -> None:
    values = np.array([1.0, 2.0, 6.0])

    def others_mean(kept: np.ndarray, left_out: np.ndarray) -> np.ndarray:
        return np.full(len(left_out), values[kept].mean())

    np.testing.assert_allclose(leave_one_out(others_mean, 3), [4.0, 3.5, 1.5])
    by_group = leave_one_out(others_mean, 3, groups=["x", "y", "x"])
    np.testing.assert_allclose(by_group, [2.0, 3.5, 2.0])


def test_groups_must_match_the_runs() -> None:
    with pytest.raises(ValueError, match="groups: expected 3 entries, one per run, found 2"):
        leave_one_out(lambda kept, left_out: left_out, 3, groups=["x", "y"])
    with pytest.raises(ValueError, match="at least 2 groups of runs, found 1"):
        leave_one_out(lambda kept, left_out: left_out, 2, groups=["x", "x"])


def test_percentiles_of_the_draws() -> None:
    prediction = percentile_prediction(0.5, np.linspace(0, 1, 201))
    assert (prediction.value, prediction.interval.low) == (0.5, pytest.approx(0.025))
    assert prediction.interval.high == pytest.approx(0.975)
