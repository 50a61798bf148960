import itertools
from collections import Counter

import numpy as np
import pytest

from codepretrain.stream.permutation import epoch_key, permute


@pytest.mark.parametrize("num_rows", [*range(1, 40), 255, 256, 257, 1000, 4096, 65_537])
def test_is_a_bijection(num_rows: int) -> None:
    for epoch in range(3):
        key = epoch_key(0, "text", epoch)
        permuted = permute(np.arange(num_rows), num_rows=num_rows, key=key)
        np.testing.assert_array_equal(np.sort(permuted), np.arange(num_rows))


def test_each_index_alone_goes_where_it_goes_in_company() -> None:
    key = epoch_key(3, "web_code", 7)
    together = permute(np.arange(1000), num_rows=1000, key=key)
    alone = [int(permute(np.array([i]), num_rows=1000, key=key)[0]) for i in range(1000)]
    assert together.tolist() == alone


def test_known_values_on_every_platform() -> None:
    """Fixed by SHA-256, SHAKE-256 and integers alone; a change here reorders every study."""
    key = epoch_key(0, "text", 0)
    assert key.hex()[:16] == "9a3a7b9a129bbc36"
    assert permute(np.arange(8), num_rows=8, key=key).tolist() == [2, 7, 4, 1, 3, 6, 0, 5]
    large = permute(np.array([0, 1, 24_414_207]), num_rows=24_414_208, key=key)
    assert large.tolist() == [5_447_723, 1_191_594, 9_244_846]


def test_key_depends_on_seed_source_and_epoch() -> None:
    keys = {epoch_key(*parts) for parts in itertools.product((0, 1), ("a", "b"), (0, 1, 10))}
    assert len(keys) == 12
    assert epoch_key(1, "a", 11) != epoch_key(11, "a", 1)


def test_every_index_is_equally_likely_everywhere() -> None:
    """Chi-square of where an index lands, over 4,000 keys, for a square and a ragged size."""
    for num_rows in (16, 23):
        lands = np.zeros((num_rows, num_rows))
        for seed in range(4000):
            key = epoch_key(seed, "text", 0)
            lands[
                np.arange(num_rows), permute(np.arange(num_rows), num_rows=num_rows, key=key)
            ] += 1
        expected = 4000 / num_rows
        chi_square = ((lands - expected) ** 2 / expected).sum(axis=1)
        # num_rows − 1 degrees of freedom: mean num_rows − 1, deviation √(2 (num_rows − 1)).
        limit = num_rows - 1 + 5 * np.sqrt(2 * (num_rows - 1))
        assert chi_square.max() < limit


def test_neighbors_are_scattered() -> None:
    """The distance between neighbors' images is that of two uniform draws: a third of the size."""
    num_rows = 100_000
    permuted = permute(np.arange(num_rows), num_rows=num_rows, key=epoch_key(0, "text", 0))
    assert abs(np.abs(np.diff(permuted)).mean() / num_rows - 1 / 3) < 0.005
    fixed_points = int((permuted == np.arange(num_rows)).sum())
    assert fixed_points < 8  # one is expected


def test_all_orders_of_three_occur() -> None:
    orders = Counter(
        tuple(permute(np.arange(3), num_rows=3, key=epoch_key(seed, "s", 0)).tolist())
        for seed in range(600)
    )
    assert set(orders) == set(itertools.permutations(range(3)))


def test_refuses_an_index_outside() -> None:
    with pytest.raises(AssertionError, match="out of range"):
        permute(np.array([5]), num_rows=5, key=b"")
