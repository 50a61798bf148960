"""Document-causal attention on TPUs: Pallas splash attention. See `attention_kernels.py`.

The kernel skips blocks of keys that come after a block of queries, because the causal mask is known
when the kernel is built. Within the remaining blocks it compares the segment ids of each pair.

Source: jax.experimental.pallas.ops.tpu.splash_attention (Apache-2.0), which reads key-value heads
that several query heads share without repeating them.
"""

import jax
import jax.numpy as jnp
from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_kernel as pallas
from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_mask as masks

_LANES = 128  # a TPU register holds 8 × 128 numbers, so blocks are multiples of 128 keys
_BLOCK_Q, _BLOCK_KV = 1024, 1024


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
    """Returns attention [B, T, N, H] on one device.

    T is padded to a multiple of 128 with positions of segment 0, which no other segment sees. The
    kernel does not scale the scores, so the query is multiplied by 1/sqrt(H) in float32 and rounded
    to the compute dtype again. The kernel itself names its output and log-sum-exp for remat.
    """
    T, N, H = query.shape[1:]
    query = (query.astype(jnp.float32) * H**-0.5).astype(query.dtype)
    padding = -T % _LANES
    segment_ids = jnp.pad(segment_ids, ((0, 0), (0, padding)))

    def heads_first(x: jax.Array) -> jax.Array:
        return jnp.pad(x, ((0, 0), (0, padding), (0, 0), (0, 0))).swapaxes(1, 2)

    kernel = pallas.make_splash_mha(
        mask=masks.MultiHeadMask([masks.CausalMask((T + padding, T + padding))] * N),
        block_sizes=_block_sizes(
            T + padding, block_q=block_q or _BLOCK_Q, block_kv=block_kv or _BLOCK_KV
        ),
        head_shards=1,
        q_seq_shards=1,
        residual_checkpoint_name="attention_output",
        interpret=interpret,
    )
    ids = pallas.SegmentIds(q=segment_ids, kv=segment_ids)
    attended = jax.vmap(kernel)(heads_first(query), heads_first(key), heads_first(value), ids)
    return attended.swapaxes(1, 2)[:, :T]


def _block_sizes(seq_len: int, *, block_q: int, block_kv: int) -> pallas.BlockSizes:
    """Returns the largest blocks that divide the sequence and do not exceed those requested."""
    q, kv = _fitting(seq_len, block_q), _fitting(seq_len, block_kv)
    return pallas.BlockSizes(
        block_q=q,
        block_kv=kv,
        block_kv_compute=_fitting(kv, 512),
        block_q_dkv=q,
        block_kv_dkv=kv,
        block_kv_dkv_compute=_fitting(kv, 512),
        use_fused_bwd_kernel=True,
    )


def _fitting(length: int, largest: int) -> int:
    """Returns the largest multiple of 128 that divides `length` and is at most `largest`."""
    sizes = range(_LANES, max(largest, _LANES) + 1, _LANES)
    return max(size for size in sizes if length % size == 0)
