import numpy as np

from codepretrain.data.selection.split import is_held_out, split_groups

NO_JOINS = np.empty((0, 2), np.uint64)


def test_joined_groups_follow_one_split() -> None:
    left = np.arange(100, dtype=np.uint64)
    right = left + np.uint64(1000)
    found = split_groups([left, right], np.stack([left, right], 1), 0.5)
    assert np.array_equal(found.held_out[0], found.held_out[1])
    assert 25 < found.held_out[0].sum() < 75
    assert (found.num_components, found.num_too_large) == (100, 0)


def test_the_share_grows_with_the_fraction() -> None:
    groups = np.arange(2000, dtype=np.uint64)
    none, small, large = (
        split_groups([groups], NO_JOINS, fraction).held_out[0] for fraction in (0.0, 0.05, 0.2)
    )
    assert not none.any()
    assert 60 < small.sum() < 140
    assert 320 < large.sum() < 480
    assert not (small & ~large).any()
    assert np.array_equal(large, is_held_out(groups, 0.2))


def test_components_of_up_to_100_documents_may_be_held_out() -> None:
    for size, num_too_large in ((100, 0), (101, 101)):
        found = split_groups([np.full(size, 7, np.uint64)], NO_JOINS, 0.999)
        assert found.num_too_large == num_too_large
        assert found.held_out[0].all() == (num_too_large == 0)


def test_the_components_of_what_is_held_out_are_named() -> None:
    """Of the joined groups 7 and 107, both documents are in component 7, or none is held out."""
    left = np.repeat(np.arange(100, dtype=np.uint64), 2)
    right = np.arange(100, 200, dtype=np.uint64)
    joins = np.stack([right - np.uint64(100), right], 1)
    found = split_groups([left, right], joins, 0.5)
    one, other = found.components
    assert np.array_equal(one, left[found.held_out[0]])
    assert np.array_equal(other, right[found.held_out[1]] - np.uint64(100))
    assert set(one) == set(other)
    assert len(one) == 2 * len(other)
