import numpy as np

from codepretrain.rows.sampling import keyed_hash, smallest, smallest_up_to

VALUES = np.arange(4000, dtype=np.uint64)


def test_hashes_are_uniform_and_differ_by_purpose() -> None:
    one, other = keyed_hash(VALUES, "one"), keyed_hash(VALUES, "other")
    assert len(np.unique(one)) == 4000
    shares = np.bincount((one >> np.uint64(61)).astype(np.int64), minlength=8) / 4000
    assert np.all(np.abs(shares - 1 / 8) < 0.02)
    low = one < 2**63
    assert abs(np.mean(other[low] < 2**63) - 0.5) < 0.04, "independent"
    assert np.array_equal(keyed_hash(VALUES[::-1], "one"), one[::-1])


def test_a_sample_does_not_depend_on_the_order_and_grows() -> None:
    hashes = keyed_hash(VALUES, "sample")
    small, large = (set(smallest(hashes, k).tolist()) for k in (10, 100))
    assert small < large
    assert len(large) == 100
    backwards = {3999 - position for position in smallest(hashes[::-1], 100).tolist()}
    assert backwards == large
    assert smallest(hashes, 9000).tolist() == list(range(4000))


def test_sizes_are_added_by_smallest_hash() -> None:
    hashes = np.array([30, 10, 40, 20], np.uint64)
    sizes = np.array([5, 3, 9, 4], np.uint32)
    assert smallest_up_to(hashes, sizes, 0).tolist() == []
    assert smallest_up_to(hashes, sizes, 3).tolist() == [1]
    assert smallest_up_to(hashes, sizes, 4).tolist() == [1, 3]
    assert smallest_up_to(hashes, sizes, 8).tolist() == [0, 1, 3]
    assert smallest_up_to(hashes, sizes, 99).tolist() == [0, 1, 2, 3]
