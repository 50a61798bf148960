"""Causal self-attention with rotary positions and grouped key-value heads."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from codepretrain.config.schema import ModelConfig
from codepretrain.errors import UserError
from codepretrain.model.attention_kernels import AttentionKernel
from codepretrain.model.constrain import Constrain
from codepretrain.model.kernels.reference import attend, attend_in_parts
from codepretrain.model.linear import Linear
from codepretrain.model.norm import LayerNorm
from codepretrain.model.remat import name_activation
from codepretrain.model.rope import RopeAngles, rotate

_QUERY = ("batch", "tokens", "heads", None)
_KEY = ("batch", "tokens", "kv_heads", None)


class KeyValue(NamedTuple):
    """One layer's keys (after norm and rotation) and values: each [B, S, K, H] compute dtype."""

    key: jax.Array
    value: jax.Array


class Attention(nnx.Module):
    """Projects [B, T, D] to heads, normalizes and rotates them, attends, and projects back.

    Query and key norms (`use_qk_norm`) are LayerNorms per head, before the rotation.
    """

    def __init__(
        self,
        config: ModelConfig,
        *,
        kernel: AttentionKernel,
        constrain: Constrain,
        gradient_dtype: str,
        rngs: nnx.Rngs,
    ) -> None:
        _check_heads(config)
        kernel.check_compute_dtype(config.compute_dtype)
        D, queries = (config.d_model,), (config.num_heads, config.head_dim)
        keys = (config.num_kv_heads, config.head_dim)
        query_axes, key_axes = ("heads", "head_dim"), ("kv_heads", "head_dim")
        linear = functools.partial(Linear, gradient_dtype=gradient_dtype, rngs=rngs)
        self.query = linear(D, queries, logical_axes=("embed", *query_axes))
        self.key = linear(D, keys, logical_axes=("embed", *key_axes))
        self.value = linear(D, keys, logical_axes=("embed", *key_axes))
        self.output = linear(queries, D, logical_axes=(*query_axes, "embed"))
        if config.use_qk_norm:
            epsilon = config.norm_epsilon
            self.query_norm = LayerNorm(queries, epsilon=epsilon, logical_axes=query_axes)
            self.key_norm = LayerNorm(keys, epsilon=epsilon, logical_axes=key_axes)
        self.use_qk_norm = config.use_qk_norm
        self.constrain = constrain
        self.kernel = kernel

    def __call__(
        self, x: jax.Array, *, rope: RopeAngles, segment_ids: jax.Array
    ) -> tuple[jax.Array, KeyValue]:
        """Returns attention within each segment [B, T, D], and its keys and values."""
        query, present = self._heads(x, rope)
        return self._project(self._attend(query, present, segment_ids)), present

    def branches(
        self,
        x: jax.Array,
        *,
        rope: RopeAngles,
        segment_ids: jax.Array,
        mask: jax.Array,
        num_blocks: int,
    ) -> jax.Array:
        """Returns attention [B, S + C, D] of prefixes within their segments, and of what follows.

        x: [B, S + C, D]; segment_ids: [B, S]; mask: [B, C, S + C], which tokens each of the last C
        tokens sees; num_blocks: parts of C, one after another, which divides the scores in memory.
        """
        query, present = self._heads(x, rope)
        S = segment_ids.shape[1]
        prefix = KeyValue(present.key[:, :S], present.value[:, :S])
        attended = [
            self._attend(query[:, :S], prefix, segment_ids),
            _attend_in_blocks(query[:, S:], present, mask, num_blocks),
        ]
        return self._project(jnp.concatenate(attended, axis=1))

    def decode(
        self,
        x: jax.Array,
        *,
        rope: RopeAngles,
        past: KeyValue,
        recent: KeyValue,
        lengths: jax.Array,
        num_recent: jax.Array,
    ) -> tuple[jax.Array, KeyValue]:
        """Returns attention of one new token per sequence, and `recent` with the token in it.

        x: [B, 1, D]; past: [B, K, S, H], of which a sequence sees the first lengths[b] tokens;
        recent: [B, K, R, H], of which it sees the first `num_recent`, and then the new token.
        """
        query, present = self._heads(x, rope)
        recent = KeyValue(
            *(
                jax.lax.dynamic_update_slice(old, new.swapaxes(1, 2), (0, 0, num_recent, 0))
                for old, new in zip(recent, present, strict=True)
            )
        )
        in_past = jnp.arange(past.key.shape[2])[None] < lengths[:, None]
        in_recent = (jnp.arange(recent.key.shape[2]) <= num_recent)[None]
        attended = attend_in_parts(query[:, 0], [(*past, in_past), (*recent, in_recent)])
        return self._project(attended[:, None]), recent

    def _heads(self, x: jax.Array, rope: RopeAngles) -> tuple[jax.Array, KeyValue]:
        query, key, value = self.query(x), self.key(x), self.value(x)
        if self.use_qk_norm:
            query, key = self.query_norm(query), self.key_norm(key)
        query = name_activation(self.constrain(rotate(query, rope), _QUERY), "query")
        key = name_activation(self.constrain(rotate(key, rope), _KEY), "key")
        value = name_activation(self.constrain(value, _KEY), "value")
        return query, KeyValue(key, value)

    def _attend(self, query: jax.Array, present: KeyValue, segment_ids: jax.Array) -> jax.Array:
        """Returns the kernel's attention within each segment [B, T, N, H]."""
        kernel: Callable[..., jax.Array] = self.kernel
        if not self.kernel.is_partitionable:
            kernel = self.constrain.on_each_device(
                kernel, inputs=(_QUERY, _KEY, _KEY, _QUERY[:2]), output=_QUERY
            )
        return kernel(query, *present, segment_ids)

    def _project(self, attended: jax.Array) -> jax.Array:
        return self.output(self.constrain(attended, _QUERY))


def _attend_in_blocks(
    query: jax.Array, present: KeyValue, mask: jax.Array, num_blocks: int
) -> jax.Array:
    """Returns `attend(query, *present, mask=mask)` for blocks of queries, one after another."""
    if num_blocks == 1:
        return attend(query, *present, mask=mask)

    def split(x: jax.Array) -> jax.Array:
        return x.reshape(x.shape[0], num_blocks, -1, *x.shape[2:]).swapaxes(0, 1)

    blocks = jax.lax.map(
        lambda block: attend(block[0], *present, mask=block[1]), (split(query), split(mask))
    )
    return blocks.swapaxes(0, 1).reshape(query.shape)


def _check_heads(config: ModelConfig) -> None:
    """Raises UserError for heads that cannot be grouped, or an odd head dim."""
    if config.num_heads % config.num_kv_heads:
        raise UserError(
            f"config.model.num_heads: {config.num_heads} is not divisible by "
            f"config.model.num_kv_heads = {config.num_kv_heads}; each key-value head must serve "
            "the same number of query heads"
        )
    if config.head_dim % 2:
        raise UserError(
            f"config.model.head_dim: expected an even number, got {config.head_dim}; RoPE rotates "
            "pairs of dims"
        )
