"""Document-causal attention on NVIDIA GPUs. See `attention_kernels.py`.

Neither kernel holds scores of all pairs. `benchmarks/gpu_campaign.sh` measures them side by side.
"""

import jax
import jax.numpy as jnp
from jax.experimental.pallas.ops.gpu import attention as pallas

from codepretrain.model.remat import name_activation

_BLOCK = 128
# Documents of a row (its padding is one) that cuDNN is asked to keep apart: it holds softmax
# statistics [B · documents, N, T] float32.
_MAX_DOCUMENTS = 64


def pallas_gpu(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    segment_ids: jax.Array,
    *,
    block_q: int | None,
    block_kv: int | None,
    interpret: bool,
) -> jax.Array:
    """Returns attention [B, T, N, H] on one device, by flash attention in Pallas (Triton).

    Key-value heads are repeated for the query heads that share them: the kernel knows none. T is
    padded to a multiple of 128 with positions of segment 0, which nothing else sees. The backward
    kernels hold more at a time than the forward, so their blocks are half as large.

    Source: jax.experimental.pallas.ops.gpu.attention (Apache-2.0).
    """
    T, group = query.shape[1], query.shape[2] // key.shape[2]
    padding = ((0, 0), (0, -T % _BLOCK), (0, 0), (0, 0))
    key, value = (jnp.repeat(x, group, axis=2) for x in (key, value))
    q, kv = block_q or _BLOCK, block_kv or _BLOCK
    attended = pallas.mha(
        *(jnp.pad(x, padding) for x in (query, key, value)),
        segment_ids=jnp.pad(segment_ids, padding[:2]),
        sm_scale=query.shape[-1] ** -0.5,
        causal=True,
        block_sizes=pallas.BlockSizes(
            block_q=q,
            block_k=kv,
            block_q_dkv=q // 2,
            block_kv_dkv=kv // 2,
            block_q_dq=q // 2,
            block_kv_dq=kv // 2,
        ),
        interpret=interpret,
    )
    return name_activation(attended[:, :T], "attention_output")


def cudnn(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    segment_ids: jax.Array,
    *,
    block_q: int | None,
    block_kv: int | None,
    interpret: bool,
) -> jax.Array:
    """Returns attention [B, T, N, H] on one device, by cuDNN's kernel for packed sequences.

    bfloat16 or float16, Hopper or later. A batch with a row of more than 64 documents, padding
    counted as one, goes through `pallas_gpu`, so that every boundary is kept.

    Source: jax._src.cudnn (Apache-2.0); `jax.nn.dot_product_attention` passes no offsets.
    """
    # Imported here, as it is no public module and may move.
    from jax._src.cudnn import fused_attention_stablehlo as cudnn_attention

    assert not interpret, "cuDNN has no interpreter"
    lengths, offsets, num_documents = documents(segment_ids, _MAX_DOCUMENTS)

    def packed(query: jax.Array, key: jax.Array, value: jax.Array) -> jax.Array:
        return cudnn_attention.dot_product_attention(
            query,
            key,
            value,
            q_seqlen=lengths,
            kv_seqlen=lengths,
            q_offsets=offsets,
            kv_offsets=offsets,
            scale=query.shape[-1] ** -0.5,
            mask_type=cudnn_attention.MaskType.PADDING_CAUSAL,
        )

    def of_many(query: jax.Array, key: jax.Array, value: jax.Array) -> jax.Array:
        arrays = query, key, value, segment_ids
        return pallas_gpu(*arrays, block_q=block_q, block_kv=block_kv, interpret=False)

    fits = jnp.max(num_documents) <= _MAX_DOCUMENTS
    attended = jax.lax.cond(fits, packed, of_many, query, key, value)
    return name_activation(attended, "attention_output")


def documents(segment_ids: jax.Array, maximum: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns lengths [B, M], offsets [B, M + 1] and number [B] of each row's documents, int32.

    M is `maximum`. Places beyond a row's documents hold -1. The offsets end with T:

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
