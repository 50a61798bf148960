"""Document-causal attention on NVIDIA GPUs: cuDNN flash attention. See `attention_kernels.py`.

bfloat16 or float16, Hopper or later. cuDNN takes the documents of all rows as one list of up to
B · M sequences, and parts of its backward pass take time in proportion to B · M · T, however many
there are. So the program holds a variant for each M in `CAPACITIES` and runs the smallest that
suffices for the batch. A batch with a row of more documents (its padding counts as one) runs
through `pallas_gpu`, so every boundary is kept.

The library's own gradient does not name the softmax statistics, so a remat policy could not save
them and the forward kernel would run again in the backward pass. The gradient is therefore defined
here, from the library's forward and backward kernels.

Source: jax._src.cudnn (Apache-2.0); `jax.nn.dot_product_attention` passes no offsets.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

# Not public, so it may change; the tests lower it for a GPU.
from jax._src.cudnn import fused_attention_stablehlo as library

from codepretrain.model.kernels import pallas_gpu
from codepretrain.model.remat import name_activation

CAPACITIES = (8, 16, 32, 64)  # documents of a row
MAX_DOCUMENTS = CAPACITIES[-1]


def attention(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    segment_ids: jax.Array,
    *,
    block_q: int | None,
    block_kv: int | None,
    interpret: bool,
) -> jax.Array:
    """Returns attention [B, T, N, H] on one device; the blocks are those of `pallas_gpu`.

    Key-value heads are repeated for the query heads that share them: for fewer of them the library
    of JAX 0.10 computes offsets with the stride of the queries, and reads other tokens' keys.
    """
    assert not interpret, "cuDNN has no interpreter"
    group = query.shape[2] // key.shape[2]
    key, value = (jnp.repeat(x, group, axis=2) for x in (key, value))
    settings = pallas_gpu.Settings.build(block_q=block_q, block_kv=block_kv, interpret=False)
    return _attention(query, key, value, segment_ids, settings)


class Residuals(NamedTuple):
    """The residuals of the backward kernels: the arguments and results of `_forward`."""

    query: jax.Array
    key: jax.Array
    value: jax.Array
    segment_ids: jax.Array
    out: jax.Array
    log_sum: jax.Array


def _variant(segment_ids: jax.Array) -> jax.Array:
    """Returns the index of the smallest capacity that suffices; one more for `pallas_gpu`."""
    num_documents = jnp.max(_begins(segment_ids).sum(axis=1))
    return jnp.searchsorted(jnp.array(CAPACITIES), num_documents)


def _forward(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    segment_ids: jax.Array,
    settings: pallas_gpu.Settings,
) -> tuple[jax.Array, jax.Array]:
    """Returns the attention [B, T, N, H] and its log-sum-exp [B, N, T] float32.

    The latter is to base e from cuDNN, and to base 2 from Pallas; the backward pass takes the same
    variant as the forward pass.
    """
    T, H = query.shape[1], query.shape[3]

    def by_cudnn(capacity: int, query: jax.Array, key: jax.Array, value: jax.Array) -> tuple:
        lengths, offsets = documents(segment_ids, capacity)
        out, statistics = library.dot_product_attention(
            query,
            key,
            value,
            q_seqlen=lengths,
            kv_seqlen=lengths,
            q_offsets=offsets,
            kv_offsets=offsets,
            scale=H**-0.5,
            mask_type=library.MaskType.PADDING_CAUSAL,
            return_residual=True,
        )
        rows, columns = _sequences(segment_ids)
        return out, statistics[rows, :, columns].swapaxes(1, 2)

    def by_pallas(query: jax.Array, key: jax.Array, value: jax.Array) -> tuple:
        out, log_sum = pallas_gpu.forward(query, key, value, segment_ids, settings)
        return out, log_sum[:, :, :T]

    variants = [functools.partial(by_cudnn, capacity) for capacity in CAPACITIES]
    variant = _variant(segment_ids)
    return jax.lax.switch(variant, [*variants, by_pallas], query, key, value)


def _backward(
    residuals: Residuals, d_out: jax.Array, settings: pallas_gpu.Settings
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns the gradients of query, key and value."""
    segment_ids = residuals.segment_ids

    def by_cudnn(capacity: int, residuals: Residuals, d_out: jax.Array) -> tuple:
        query, key, value, _, out, log_sum = residuals
        B, T, N, H = query.shape
        lengths, offsets = documents(segment_ids, capacity)
        rows, columns = _sequences(segment_ids)
        statistics = jnp.zeros((B * capacity, N, T), jnp.float32)
        statistics = statistics.at[rows, :, columns].set(
            log_sum.swapaxes(1, 2), mode="drop", unique_indices=True
        )
        none = jnp.zeros(0, query.dtype)  # how the library spells an argument that is not given
        arrays = (query, key, value, none, lengths, lengths, offsets, offsets, none, none)
        gradients = library._dot_product_attention_bwd_rule(
            scale=H**-0.5,
            seed=42,  # of dropout, which is not used
            dropout_rate=0.0,
            variadic_args=(False, False),  # no bias, and no gradient of one
            mask_type=library.MaskType.PADDING_CAUSAL,
            layout=library.AttentionLayout.BTNH.value,
            sliding_window_length=None,
            is_training=True,
            return_residual=False,
            res=(*arrays, statistics, out),
            grad_output=d_out,
        )
        return gradients[0], gradients[1], gradients[2]

    def by_pallas(residuals: Residuals, d_out: jax.Array) -> tuple:
        padding = settings.padding(d_out.shape[1])
        log_sum = jnp.pad(residuals.log_sum, ((0, 0), (0, 0), (0, padding)))
        kept = pallas_gpu.Residuals(*residuals._replace(log_sum=log_sum))
        return pallas_gpu.backward(kept, d_out, settings)

    variants = [functools.partial(by_cudnn, capacity) for capacity in CAPACITIES]
    return jax.lax.switch(_variant(segment_ids), [*variants, by_pallas], residuals, d_out)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def _attention(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    segment_ids: jax.Array,
    settings: pallas_gpu.Settings,
) -> jax.Array:
    return _forward(query, key, value, segment_ids, settings)[0]


def _forward_rule(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    segment_ids: jax.Array,
    settings: pallas_gpu.Settings,
) -> tuple[jax.Array, Residuals]:
    out, log_sum = (
        name_activation(x, "attention_output")
        for x in _forward(query, key, value, segment_ids, settings)
    )
    return out, Residuals(query, key, value, segment_ids, out, log_sum)


def _backward_rule(
    settings: pallas_gpu.Settings, residuals: Residuals, d_out: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array, None]:
    return *_backward(residuals, d_out, settings), None


_attention.defvjp(_forward_rule, _backward_rule)


def _begins(segment_ids: jax.Array) -> jax.Array:
    """Returns where documents begin, padding among them: [B, T] bool."""
    return jnp.diff(segment_ids, axis=1, prepend=segment_ids[:, :1] - 1) != 0


def documents(segment_ids: jax.Array, maximum: int) -> tuple[jax.Array, jax.Array]:
    """Returns lengths [B, M] and first positions [B, M + 1] of each row's documents, int32.

    M is `maximum`. Entries beyond a row's documents are -1, which the library drops when it joins
    the rows' lists into one:

        segment_ids 1 1 2 2 2 0 0, M = 4      lengths 2 3 2 -1      positions 0 2 5 -1 -1
    """
    T = segment_ids.shape[1]

    def row(begins: jax.Array) -> jax.Array:
        return jnp.nonzero(begins, size=maximum + 1, fill_value=T)[0].astype(jnp.int32)

    starts = jax.vmap(row)(_begins(segment_ids))
    lengths = jnp.diff(starts, axis=1)
    return jnp.where(lengths > 0, lengths, -1), jnp.where(starts < T, starts, -1)


def _sequences(segment_ids: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns each position's sequence in cuDNN's list and place in it: [B, T] int32 each."""
    begins = _begins(segment_ids)
    positions = jnp.arange(segment_ids.shape[1], dtype=jnp.int32)[None]
    starts = jax.lax.cummax(jnp.where(begins, positions, 0), axis=1)
    sequences = jnp.cumsum(begins.reshape(-1), dtype=jnp.int32).reshape(begins.shape) - 1
    return sequences, positions - starts
