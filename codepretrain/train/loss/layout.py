"""How the loss splits a device's vocabulary and positions into blocks.

V ids in J blocks of W, P positions in parts of C; T tokens, B rows, D model. A device's vocabulary
is its part along `tensor`. V may be any number, not only a multiple of W; likewise P and C.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh

_LANES = 128  # the width of a TPU register: blocks are multiples of it where possible
_NO_ID = -(2**31)  # never a target


class Blocks(NamedTuple):
    """How the loss is computed. Changes only the order of float32 sums.

    size: ids in a block; tokens: positions in a block, on each device. mesh: None for one device.
    reduction_dtype: of the embedding's gradient while it is summed over devices.
    """

    size: int
    tokens: int = 8192
    mesh: Mesh | None = None
    reduction_dtype: str = "float32"


class Axes(NamedTuple):
    """The mesh axes that split the rows, the vocabulary and D of the embedding."""

    rows: tuple[str, ...]
    vocab: str | None
    embed: str | None


class VocabularyLayout(NamedTuple):
    """Block j of J holds the ids start(j) … start(j) + W - 1.

    The last block is shifted back to fit; ids that it shares with the previous block are masked.
    """

    num_ids: int
    width: int
    num_blocks: int

    def start(self, block: jax.Array) -> jax.Array:
        return jnp.minimum(block * self.width, self.num_ids - self.width)

    def ids(self, block: jax.Array) -> jax.Array:
        """Returns the block's ids on this device: [W] int32, `_NO_ID` for masked ones."""
        ids = self.start(block) + jnp.arange(self.width, dtype=jnp.int32)
        return jnp.where(ids >= block * self.width, ids, _NO_ID)


def vocabulary_layout(num_ids: int, size: int) -> VocabularyLayout:
    num_blocks = -(-num_ids // size)
    width = -(-num_ids // num_blocks)
    width = min(width + -width % _LANES, size, num_ids)
    return VocabularyLayout(num_ids, width, -(-num_ids // width))


def split(x: jax.Array, num_parts: int) -> jax.Array:
    """Returns [P, …] as [parts, C, …], padded with zeros."""
    padding = -x.shape[0] % num_parts
    x = jnp.pad(x, ((0, padding), *[(0, 0)] * (x.ndim - 1)))
    return x.reshape(num_parts, -1, *x.shape[1:])


def join(parts: jax.Array, like: jax.Array) -> jax.Array:
    """Returns [parts, C, …] as `like`'s [B, T, …], without the positions that `split` added."""
    B, T = like.shape[:2]
    return parts.reshape(-1, *parts.shape[2:])[: B * T].reshape(B, T, *parts.shape[2:])


def _local(targets: jax.Array, num_ids: int, axes: Axes) -> jax.Array:
    """Returns the targets as local ids; those of other devices fall outside 0 … num_ids - 1."""
    return targets - lax.axis_index(axes.vocab) * num_ids if axes.vocab else targets


class Positions(NamedTuple):
    """The device's positions in parts: [parts, C, D], and [parts, C] int32."""

    hidden: jax.Array
    targets: jax.Array


def positions(
    hidden: jax.Array, targets: jax.Array, *, num_ids: int, blocks: Blocks, axes: Axes
) -> Positions:
    B, T, D = hidden.shape
    num_parts = -(-B * T // blocks.tokens)
    targets = _local(targets, num_ids, axes).reshape(-1)
    return Positions(split(hidden.reshape(-1, D), num_parts), split(targets, num_parts))
