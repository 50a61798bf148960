import jax.numpy as jnp
import numpy as np
import pytest

from codepretrain.train.loss.layout import (
    Axes,
    Blocks,
    join,
    positions,
    split,
    vocabulary_layout,
)


@pytest.mark.parametrize(
    ("num_ids", "size", "width", "num_blocks"),
    [
        (1000, 2048, 1000, 1),  # fewer ids than a block
        (4096, 2048, 2048, 2),
        (5000, 2048, 1792, 3),  # equal blocks, rounded up to 128
        (37, 5, 5, 8),  # smaller than 128: as requested
    ],
)
def test_blocks_of_the_vocabulary(num_ids, size, width, num_blocks):
    assert vocabulary_layout(num_ids, size) == (num_ids, width, num_blocks)


@pytest.mark.parametrize(("num_ids", "size"), [(37, 5), (5000, 2048), (300, 128)])
def test_every_id_counts_once(num_ids, size):
    """The last block is shifted back, and masks the ids that it shares with the previous one."""
    layout = vocabulary_layout(num_ids, size)
    ids = np.concatenate([layout.ids(jnp.int32(j)) for j in range(layout.num_blocks)])
    assert sorted(ids[ids >= 0]) == list(range(num_ids))


def test_positions_are_split_and_joined():
    x = jnp.arange(14).reshape(2, 7)
    parts = split(x.reshape(-1), 4)
    assert parts.shape == (4, 4)
    np.testing.assert_array_equal(parts[3], [12, 13, 0, 0])
    np.testing.assert_array_equal(join(parts, like=x), x)


def test_positions_of_a_device():
    found = positions(
        jnp.ones((2, 3, 4)),
        jnp.array([[0, 1, 2], [3, 4, 5]]),
        num_ids=10,
        blocks=Blocks(size=5, tokens=4),
        axes=Axes(rows=(), vocab=None, embed=None),
    )
    assert found.hidden.shape == (2, 3, 4)
    np.testing.assert_array_equal(found.targets, [[0, 1, 2], [3, 4, 5]])
