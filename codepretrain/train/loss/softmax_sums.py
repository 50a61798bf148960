"""Maximum and Σ exp(logit - maximum) of every row of logits, in one pass on a GPU.

XLA reads the logits twice, once for the maxima and once for the sums. At a vocabulary of 256,000
the logits do not fit in a cache, so each pass takes the time of reading them from memory. The
kernel keeps a running maximum and sum per lane, and joins the lanes at the end.

Source of the running form: Milakov & Gimelshein 2018, "Online normalizer calculation for softmax".
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

_LANES = 2048  # logits of a row that one program holds at a time: a power of two
_LOWEST = -1e30  # instead of -inf, since -inf - -inf is NaN


def softmax_sums(logits: jax.Array, *, scale: float) -> tuple[jax.Array, jax.Array]:
    """Returns the maximum and Σ exp(logit - maximum) of scale · `logits` [C, V] float32: [C] each.

    The scale is applied here, since scaled logits would be an array of their own in memory.
    """
    return lax.platform_dependent(
        logits,
        cuda=functools.partial(one_pass, scale=scale),
        default=functools.partial(two_passes, scale=scale),
    )


def two_passes(logits: jax.Array, *, scale: float) -> tuple[jax.Array, jax.Array]:
    logits = scale * logits
    maximum = jnp.max(logits, axis=-1)
    return maximum, jnp.sum(jnp.exp(logits - maximum[:, None]), axis=-1)


def one_pass(
    logits: jax.Array, *, scale: float, interpret: bool = False
) -> tuple[jax.Array, jax.Array]:
    """Returns the same from a Pallas kernel: one program per row."""
    # Imported at first use: importing Pallas takes a second, and a CPU never needs it.
    from jax.experimental import pallas as pl
    from jax.experimental.pallas import triton

    num_rows, num_ids = logits.shape
    rows = jax.ShapeDtypeStruct((num_rows,), jnp.float32)
    return pl.pallas_call(
        functools.partial(_row, num_ids=num_ids, scale=scale),
        grid=(num_rows,),
        in_specs=[pl.BlockSpec((None, num_ids), lambda row: (row, 0))],
        out_specs=[pl.BlockSpec((1,), lambda row: (row,))] * 2,
        out_shape=[rows, rows],
        compiler_params=triton.CompilerParams(num_warps=8, num_stages=4),
        interpret=interpret,
        name="softmax_sums",
    )(logits)


def _row(  # type: ignore[no-untyped-def]
    logits_ref, maximum_ref, total_ref, *, num_ids: int, scale: float
) -> None:
    """Computes the statistics of one row; the references are Pallas's."""
    from jax.experimental import pallas as pl
    from jax.experimental.pallas import triton

    def add(block: jax.Array, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        maximum, total = carry
        start = block * _LANES
        is_id = start + jnp.arange(_LANES) < num_ids
        x = triton.load(logits_ref.at[pl.ds(start, _LANES)], mask=is_id, other=0.0)
        x = jnp.where(is_id, scale * x, _LOWEST)
        new_maximum = jnp.maximum(maximum, x)
        total = total * jnp.exp(maximum - new_maximum) + jnp.exp(x - new_maximum)
        return new_maximum, total

    lanes = jnp.full((_LANES,), _LOWEST, jnp.float32), jnp.zeros((_LANES,), jnp.float32)
    maxima, totals = lax.fori_loop(0, pl.cdiv(num_ids, _LANES), add, lanes)
    maximum = jnp.max(maxima, axis=0)
    # A lane beyond the last id counts nothing: exp(_LOWEST - maximum) is 0.
    total = jnp.sum(totals * jnp.exp(maxima - maximum), axis=0)
    maximum_ref[0] = maximum
    total_ref[0] = total
