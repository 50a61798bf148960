"""The plain formula for blocks of queries, each with the keys up to its last query.

Blocks of 64 queries, or larger ones where that would make more than eight:

    queries   keys →
    block 1   ■ · · ·
    block 2   ■ ■ · ·      · is not computed: 3/8 of all pairs with four blocks,
    block 3   ■ ■ ■ ·        7/16 with eight
    block 4   ■ ■ ■ ■

See `attention_kernels.py`.
"""

import jax
import jax.numpy as jnp

from codepretrain.model.kernels.reference import Weighted, heads_first, normalize, weighted_sums

_BLOCK_Q, _MAX_BLOCKS = 64, 8


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
    """Returns attention [B, T, N, H]; `block_q` is its only setting."""
    T = query.shape[1]
    block_q = block_q or max(_BLOCK_Q, -(-T // _MAX_BLOCKS))
    inputs, parts = heads_first(query, key, value), []
    for start in range(0, T, block_q):
        end = min(start + block_q, T)
        causal = jnp.arange(start, end)[None, :, None] >= jnp.arange(end)[None, None]
        same_segment = segment_ids[:, start:end, None] == segment_ids[:, None, :end]
        mask = causal & same_segment
        parts.append(weighted_sums(inputs, mask=mask, start=start))
    sums = Weighted(*(jnp.concatenate(arrays, axis=3) for arrays in zip(*parts, strict=True)))
    return normalize(sums, dtype=query.dtype)
