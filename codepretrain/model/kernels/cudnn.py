"""Document-causal attention on NVIDIA GPUs: cuDNN flash attention. See `attention_kernels.py`.

bfloat16 or float16, Hopper or later. cuDNN separates at most 64 documents of a row; a batch with a
row of more (its padding counts as one) runs through `pallas_gpu`, so every boundary is kept.

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

# cuDNN holds softmax statistics [B · documents, N, T] float32; `save_attention` keeps them too.
MAX_DOCUMENTS = 64


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
    """Returns attention [B, T, N, H] on one device; the blocks are those of `pallas_gpu`."""
    assert not interpret, "cuDNN has no interpreter"
    settings = pallas_gpu.Settings.build(block_q=block_q, block_kv=block_kv, interpret=False)
    return _attention(query, key, value, segment_ids, settings)


class Residuals(NamedTuple):
    """The residuals of the backward kernels. Of the last two, that of the unused kernel is zero.

    statistics: cuDNN's [B · 64, N, T] float32; log_sum: that of `pallas_gpu.forward`.
    """

    query: jax.Array
    key: jax.Array
    value: jax.Array
    segment_ids: jax.Array
    out: jax.Array
    statistics: jax.Array
    log_sum: jax.Array


Results = tuple[jax.Array, jax.Array, jax.Array]


def _forward(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    segment_ids: jax.Array,
    settings: pallas_gpu.Settings,
) -> Results:
    """Returns the attention, cuDNN's statistics and the log-sum-exp of `pallas_gpu`."""
    B, T, N, H = query.shape
    lengths, offsets, num_documents = documents(segment_ids, MAX_DOCUMENTS)

    def by_cudnn(query: jax.Array, key: jax.Array, value: jax.Array) -> Results:
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
        return out, statistics, jnp.zeros((B, N, T + settings.padding(T)), jnp.float32)

    def by_pallas(query: jax.Array, key: jax.Array, value: jax.Array) -> Results:
        out, log_sum = pallas_gpu.forward(query, key, value, segment_ids, settings)
        return out, jnp.zeros((B * MAX_DOCUMENTS, N, T), jnp.float32), log_sum

    return jax.lax.cond(_fits(num_documents), by_cudnn, by_pallas, query, key, value)


def _fits(num_documents: jax.Array) -> jax.Array:
    return jnp.max(num_documents) <= MAX_DOCUMENTS


def _backward(residuals: Residuals, d_out: jax.Array, settings: pallas_gpu.Settings) -> Results:
    """Returns the gradients of query, key and value."""
    lengths, offsets, num_documents = documents(residuals.segment_ids, MAX_DOCUMENTS)

    def by_cudnn(residuals: Residuals, d_out: jax.Array) -> Results:
        query, key, value, _, out, statistics, _ = residuals
        none = jnp.zeros(0, query.dtype)  # how the library spells an argument that is not given
        arrays = (query, key, value, none, lengths, lengths, offsets, offsets, none, none)
        gradients = library._dot_product_attention_bwd_rule(
            scale=query.shape[-1] ** -0.5,
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

    def by_pallas(residuals: Residuals, d_out: jax.Array) -> Results:
        query, key, value, segment_ids, out, _, log_sum = residuals
        kept = pallas_gpu.Residuals(query, key, value, segment_ids, out, log_sum)
        return pallas_gpu.backward(kept, d_out, settings)

    return jax.lax.cond(_fits(num_documents), by_cudnn, by_pallas, residuals, d_out)


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
    results = _forward(query, key, value, segment_ids, settings)
    out, statistics, log_sum = (name_activation(x, "attention_output") for x in results)
    return out, Residuals(query, key, value, segment_ids, out, statistics, log_sum)


def _backward_rule(
    settings: pallas_gpu.Settings, residuals: Residuals, d_out: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array, None]:
    return *_backward(residuals, d_out, settings), None


_attention.defvjp(_forward_rule, _backward_rule)


def documents(segment_ids: jax.Array, maximum: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns lengths [B, M], offsets [B, M + 1] and counts [B] of each row's documents, int32.

    M is `maximum`. Entries beyond a row's documents are -1. The offsets end with T:

        segment_ids 1 1 2 2 2 0 0, M = 4      lengths 2 3 2 -1      offsets 0 2 5 7 -1
    """
    T = segment_ids.shape[1]
    begins = jnp.diff(segment_ids, axis=1, prepend=segment_ids[:, :1] - 1) != 0

    def row(begins: jax.Array) -> jax.Array:
        return jnp.nonzero(begins, size=maximum + 1, fill_value=T)[0].astype(jnp.int32)

    starts = jax.vmap(row)(begins)
    lengths = jnp.diff(starts, axis=1)
    after_end = jnp.cumsum(starts == T, axis=1) > 1
    return (
        jnp.where(lengths > 0, lengths, -1),
        jnp.where(after_end, -1, starts),
        jnp.sum(begins, axis=1, dtype=jnp.int32),
    )
