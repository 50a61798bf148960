"""Document-causal attention on NVIDIA GPUs: Pallas flash attention. See `attention_kernels.py`.

The library's own gradient does not name its log-sum-exp, so a remat policy could not save it and
the forward kernel would run again in the backward pass. The gradient is therefore defined here,
from the library's forward and backward kernels.

Source: jax.experimental.pallas.ops.gpu.attention (Apache-2.0).
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental.pallas.ops.gpu import attention as pallas

from codepretrain.model.remat import name_activation

_BLOCK = 128


class Settings(NamedTuple):
    """Queries and keys that a kernel holds at a time, and whether Python runs it."""

    block_q: int
    block_kv: int
    interpret: bool

    @classmethod
    def build(cls, *, block_q: int | None, block_kv: int | None, interpret: bool) -> "Settings":
        return cls(block_q or _BLOCK, block_kv or _BLOCK, interpret)

    @property
    def block_sizes(self) -> pallas.BlockSizes:
        """Blocks of the backward kernels are half as large, since they hold more at a time.

        One program of the backward kernel computes the gradients of a block of keys and then those
        of a block of queries, so these two blocks have one size; the other two are free.
        """
        q, kv = self.block_q // 2, self.block_kv // 2
        return pallas.BlockSizes(
            block_q=self.block_q,
            block_k=self.block_kv,
            block_q_dkv=q,
            block_kv_dkv=min(q, kv),
            block_q_dq=min(q, kv),
            block_kv_dq=kv,
        )

    def padding(self, seq_len: int) -> int:
        """Returns how many positions must be added for all blocks to divide the sequence."""
        return -seq_len % max(_BLOCK, self.block_q, self.block_kv)


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

    T is padded to a multiple of 128 and of the blocks with positions of segment 0, which no other
    segment sees. Key-value heads are repeated for the query heads that share them, since the
    kernel expects as many of one as of the other.
    """
    settings = Settings.build(block_q=block_q, block_kv=block_kv, interpret=interpret)
    return _attention(query, key, value, segment_ids, settings)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def _attention(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    segment_ids: jax.Array,
    settings: Settings,
) -> jax.Array:
    return forward(query, key, value, segment_ids, settings)[0]


def forward(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    segment_ids: jax.Array,
    settings: Settings,
) -> tuple[jax.Array, jax.Array]:
    """Returns the attention [B, T, N, H] and the log-sum-exp of the padded rows.

    The latter is [B, N, T plus padding] float32, with logarithm and exponential to base 2.
    """
    T, group = query.shape[1], query.shape[2] // key.shape[2]
    key, value = (jnp.repeat(x, group, axis=2) for x in (key, value))
    padded = (_padded(x, settings.padding(T)) for x in (query, key, value, segment_ids))
    out, log_sum = pallas.mha(
        *padded,
        sm_scale=query.shape[-1] ** -0.5,
        causal=True,
        block_sizes=settings.block_sizes,
        interpret=settings.interpret,
        return_residuals=True,
    )
    return out[:, :T], log_sum


class Residuals(NamedTuple):
    """The residuals of the backward kernels: the arguments and results of `forward`."""

    query: jax.Array
    key: jax.Array
    value: jax.Array
    segment_ids: jax.Array
    out: jax.Array
    log_sum: jax.Array


def backward(
    residuals: Residuals, d_out: jax.Array, settings: Settings
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns the gradients of query, key and value.

    Padding contributes nothing, since its `d_out` is zero.
    """
    query, key, value, segment_ids, out, log_sum = residuals
    B, T, N, H = query.shape
    K = key.shape[2]
    key, value = (jnp.repeat(x, N // K, axis=2) for x in (key, value))
    padding = settings.padding(T)
    padded = (_padded(x, padding) for x in (query, key, value, segment_ids, out))
    d_query, d_key, d_value, _ = pallas._mha_backward(
        H**-0.5,
        True,  # causal
        settings.block_sizes,
        "triton",
        None,  # number of warps: the kernel's choice
        2,  # stages
        None,  # grid: the kernel's choice
        settings.interpret,
        False,  # debug
        False,  # return_residuals
        (*padded, log_sum),
        _padded(d_out, padding),
    )

    def summed(x: jax.Array) -> jax.Array:
        """Returns the gradient of a key-value head from those of its repetitions."""
        parts = x[:, :T].reshape(B, T, K, N // K, H)
        return jnp.sum(parts, axis=3, dtype=jnp.float32).astype(x.dtype)

    return d_query[:, :T], summed(d_key), summed(d_value)


def _padded(x: jax.Array, padding: int) -> jax.Array:
    return jnp.pad(x, ((0, 0), (0, padding), *[(0, 0)] * (x.ndim - 2)))


def _forward_rule(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    segment_ids: jax.Array,
    settings: Settings,
) -> tuple[jax.Array, Residuals]:
    out, log_sum = (
        name_activation(x, "attention_output")
        for x in forward(query, key, value, segment_ids, settings)
    )
    return out, Residuals(query, key, value, segment_ids, out, log_sum)


def _backward_rule(
    settings: Settings, residuals: Residuals, d_out: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array, None]:
    return *backward(residuals, d_out, settings), None


_attention.defvjp(_forward_rule, _backward_rule)
