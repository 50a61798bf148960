"""Exponentials of logits, and their sums, in one pass on a GPU.

XLA reads the logits three times for a softmax: for the maxima, for the sums and for the result. At
a vocabulary of 256,000 the logits do not fit in a cache, so each pass takes the time of reading
them from memory. The kernel subtracts a reference that is known beforehand, the target's logit,
instead of the maximum, and so needs one pass. A row whose sum is too large or too small is computed
again with its maximum.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

_LANES = 1024  # logits of a row that one program holds at a time: a power of two
_WARPS = 8
_LOWEST = -1e30  # instead of -inf, since -inf - -inf is NaN
# Between 1 / this and this, float32 and bfloat16 hold a sum, its inverse and its products with
# weights, embeddings and hidden states with full precision: their limits are 1e-38 and 3e38.
_MAXIMUM_TOTAL = 2.0**60


class Exponentials(NamedTuple):
    """exp(scale · logit - reference) of rows of logits."""

    values: jax.Array  # [C, V] of the asked dtype
    reference: jax.Array  # [C] float32: as given, or the row's maximum
    total: jax.Array  # [C] float32: Σ of the values before they are rounded


def exponentials(
    logits: jax.Array,
    reference: jax.Array,
    *,
    scale: float,
    dtype: jnp.dtype,
    interpret: bool = False,
) -> Exponentials:
    """Returns the exponentials of logits [C, V] float32 from a Pallas kernel: a program per row.

    reference: [C] float32, at best within 40 of the maximum of scale · logits.
    """
    # Imported at first use: importing Pallas takes a second, and a CPU never needs it.
    from jax.experimental import pallas as pl
    from jax.experimental.pallas import triton

    num_rows, num_ids = logits.shape
    row = pl.BlockSpec((None, num_ids), lambda row: (row, 0))
    scalar = pl.BlockSpec((1,), lambda row: (row,))
    scalars = jax.ShapeDtypeStruct((num_rows,), jnp.float32)
    found = pl.pallas_call(
        functools.partial(_row, num_ids=num_ids, scale=scale),
        grid=(num_rows,),
        in_specs=[row, scalar],
        out_specs=[row, scalar, scalar],
        out_shape=[jax.ShapeDtypeStruct(logits.shape, dtype), scalars, scalars],
        compiler_params=triton.CompilerParams(num_warps=_WARPS, num_stages=4),
        interpret=interpret,
        name="exponentials",
    )(logits, reference)
    return Exponentials(*found)


def _row(  # type: ignore[no-untyped-def]
    logits_ref, given_ref, values_ref, reference_ref, total_ref, *, num_ids: int, scale: float
) -> None:
    """Computes one row; the references are Pallas's."""
    from jax.experimental import pallas as pl
    from jax.experimental.pallas import triton

    num_blocks = pl.cdiv(num_ids, _LANES)

    def load(block: jax.Array) -> tuple[jax.Array, jax.Array]:
        is_id = block * _LANES + jnp.arange(_LANES) < num_ids
        x = triton.load(logits_ref.at[pl.ds(block * _LANES, _LANES)], mask=is_id, other=0.0)
        return jnp.where(is_id, scale * x, _LOWEST), is_id

    def store(reference: jax.Array) -> jax.Array:
        """Stores the row's values; returns their sum."""

        def add(block: jax.Array, total: jax.Array) -> jax.Array:
            x, is_id = load(block)
            value = jnp.exp(x - reference)  # 0 beyond the last id
            at = values_ref.at[pl.ds(block * _LANES, _LANES)]
            triton.store(at, value.astype(values_ref.dtype), mask=is_id)
            return total + value

        return jnp.sum(lax.fori_loop(0, num_blocks, add, jnp.zeros((_LANES,), jnp.float32)))

    def again() -> tuple[jax.Array, jax.Array]:
        lanes = jnp.full((_LANES,), _LOWEST, jnp.float32)
        lanes = lax.fori_loop(0, num_blocks, lambda i, m: jnp.maximum(m, load(i)[0]), lanes)
        maximum = jnp.max(lanes, axis=0)
        return maximum, store(maximum)

    given = given_ref[0]
    total = store(given)
    is_kept = (total > 1 / _MAXIMUM_TOTAL) & (total < _MAXIMUM_TOTAL)  # neither for NaN
    reference_ref[0], total_ref[0] = lax.cond(is_kept, lambda: (given, total), again)
