"""Works on some positions of a batch at a time, so that few logits are in memory."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp

LOGITS_PER_DEVICE = 1 << 26  # held at once, float32: 256 MiB
Arrays = TypeVar("Arrays", bound=tuple[jax.Array, ...])


def positions_at_once(*, batch_size: int, vocab_size: int, num_devices: int) -> int:
    """Returns how many positions of every row of a batch may have their logits in memory."""
    return max(1, LOGITS_PER_DEVICE * num_devices // (batch_size * vocab_size))


def map_positions(
    compute: Callable[..., Arrays], arrays: Sequence[jax.Array], *, at_once: int
) -> Arrays:
    """Returns what `compute` returns for all positions, from `at_once` of them at a time.

    Args:
      compute: [B, C, …] each → [B, C, …] each; a position depends on itself only. The last call has
        zeros for the positions that are missing.
      arrays: [B, T, …] each.
    """
    width = arrays[0].shape[1]
    at_once = min(at_once, width)
    chunks = tuple(_chunks(array, at_once) for array in arrays)
    results = jax.lax.map(lambda chunk: compute(*chunk), chunks)
    return jax.tree.map(lambda x: _joined(x, width), results)


def _chunks(x: jax.Array, size: int) -> jax.Array:
    """Returns [B, T, …] as [T / size, B, size, …], padded with zeros."""
    num_chunks = -(-x.shape[1] // size)
    x = jnp.pad(x, ((0, 0), (0, num_chunks * size - x.shape[1]), *(((0, 0),) * (x.ndim - 2))))
    return x.reshape(x.shape[0], num_chunks, size, *x.shape[2:]).swapaxes(0, 1)


def _joined(x: jax.Array, width: int) -> jax.Array:
    """Undoes `_chunks`."""
    x = x.swapaxes(0, 1)
    return x.reshape(x.shape[0], -1, *x.shape[3:])[:, :width]
