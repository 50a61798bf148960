"""The estimate by hand, and against the share of all subsets."""

import itertools

import pytest

from codepretrain.evals.programs.pass_at_k import pass_at_k


@pytest.mark.parametrize(
    ("n", "c", "k", "expected"),
    [
        (1, 0, 1, 0.0),
        (1, 1, 1, 1.0),
        (4, 1, 1, 1 / 4),
        (4, 1, 2, 1 / 2),  # of 6 pairs, 3 have the one that passed
        (5, 2, 2, 7 / 10),  # of 10 pairs, 3 have neither
        (5, 2, 3, 9 / 10),
        (5, 2, 4, 1.0),
        (10, 3, 5, 1 - 21 / 252),
        (200, 0, 100, 0.0),
    ],
)
def test_values_by_hand(n: int, c: int, k: int, expected: float) -> None:
    assert pass_at_k(n, c, k) == pytest.approx(expected, abs=1e-15)


def test_it_is_the_share_of_subsets_with_a_sample_that_passed() -> None:
    for n in range(1, 7):
        for c, k in itertools.product(range(n + 1), range(1, n + 1)):
            subsets = list(itertools.combinations([i < c for i in range(n)], k))
            assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


def test_more_than_there_are_samples_is_our_mistake() -> None:
    with pytest.raises(AssertionError):
        pass_at_k(3, 1, 4)
