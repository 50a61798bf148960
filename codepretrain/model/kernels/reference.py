"""The plain formula: the ground truth for every other kernel. See `attention_kernels.py`."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from codepretrain.model.remat import keep_inputs_only, name_activation
from codepretrain.model.softmax_division import divide

_HIDDEN = -1e30  # absorbs any score it is added to; its exponential is exactly zero


class HeadsFirst(NamedTuple):
    """query: [B, K, N/K, T, H]; key and value: [B, K, S, H]."""

    query: jax.Array
    key: jax.Array
    value: jax.Array


class Weighted(NamedTuple):
    """Weighted sums over keys, before the division by the weights: float32.

    values: [B, K, N/K, T, H], Σ exp(score - maximum) · value; weights: [B, K, N/K, T, 1],
    Σ exp(score - maximum).
    """

    values: jax.Array
    weights: jax.Array


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
    """Returns attention [B, T, N, H]; takes no settings."""
    at = jnp.arange(query.shape[1])
    causal = at[None, :, None] >= at[None, None]
    same_segment = segment_ids[:, :, None] == segment_ids[:, None, :]
    return attend(query, key, value, mask=causal & same_segment)


def attend(query: jax.Array, key: jax.Array, value: jax.Array, *, mask: jax.Array) -> jax.Array:
    """Returns attention [B, T, N, H] of T queries over S keys where mask [B, T, S] is true."""
    sums = weighted_sums(heads_first(query, key, value), mask=mask)
    return normalize(sums, dtype=query.dtype)


def attend_in_parts(
    query: jax.Array, parts: Sequence[tuple[jax.Array, jax.Array, jax.Array]]
) -> jax.Array:
    """Returns attention [B, N, H] of one query per row over keys that lie in several arrays.

    query: [B, N, H]; parts: key and value [B, K, S, H] and mask [B or 1, S] bool, S of each part.
    """
    B, N, H = query.shape
    K = parts[0][0].shape[1]
    query = query.reshape(B, K, N // K, H)
    scores = []
    for key, _, mask in parts:
        score = jnp.einsum("bkgh,bksh->bkgs", query, key, preferred_element_type=jnp.float32)
        hidden = jnp.where(mask, 0.0, _HIDDEN)[:, None, None]
        scores.append(score * H**-0.5 + jnp.broadcast_to(hidden, score.shape))
    maxima = [jnp.max(score, axis=-1, keepdims=True) for score in scores]
    maximum = functools.reduce(jnp.maximum, maxima)
    values, weights = jnp.float32(0), jnp.float32(0)
    for score, (_, value, _) in zip(scores, parts, strict=True):
        exponentials = jnp.exp(score - maximum)
        weights += jnp.sum(exponentials, axis=-1, keepdims=True)
        values += jnp.einsum(
            "bkgs,bksh->bkgh",
            exponentials.astype(value.dtype),
            value,
            preferred_element_type=jnp.float32,
        )
    return (values / weights).astype(query.dtype).reshape(B, N, H)


def heads_first(query: jax.Array, key: jax.Array, value: jax.Array) -> HeadsFirst:
    """Returns the arrays, [B, T, N, H] and [B, S, K, H], as products over tokens read them.

    On two CPU cores, gradients at T 256 took 37 ms this way and 53 ms with tokens first.
    """
    B, T, N, H = query.shape
    K = key.shape[2]
    query = query.reshape(B, T, K, N // K, H).transpose(0, 2, 3, 1, 4)
    return HeadsFirst(query, key.swapaxes(1, 2), value.swapaxes(1, 2))


def weighted_sums(inputs: HeadsFirst, *, mask: jax.Array, start: int = 0) -> Weighted:
    """Returns the sums of the T queries from `start` on over the first S keys; mask: [B, T, S].

    Materializes the scores [B, N, T, S] in float32. The mask is added, not selected. The division
    by the weights comes last, as in flash attention, so its gradient needs no pass over the scores
    (18.5 → 13.9 ms). The products keep their inputs only, so the parts of them that are read here
    are not kept beside the whole.
    """
    (T, S), H = mask.shape[1:], inputs.query.shape[-1]

    def product(query: jax.Array, key: jax.Array) -> jax.Array:
        query, key = query[..., start : start + T, :], key[:, :, :S]
        return jnp.einsum("bkgth,bksh->bkgts", query, key, preferred_element_type=jnp.float32)

    def weighted(exponentials: jax.Array, value: jax.Array) -> jax.Array:
        exponentials, value = exponentials.astype(value.dtype), value[:, :, :S]
        return jnp.einsum(
            "bkgts,bksh->bkgth", exponentials, value, preferred_element_type=jnp.float32
        )

    scores = keep_inputs_only(product)(inputs.query, inputs.key)
    # The scale is applied after the product, in float32: for H = 128, 1/sqrt(H) is no power of two.
    scores = scores * H**-0.5 + jnp.where(mask, 0.0, _HIDDEN)[:, None, None]
    maximum = jax.lax.stop_gradient(jnp.max(scores, -1, keepdims=True))
    exponentials = jnp.exp(scores - name_activation(maximum, "attention_output"))
    values = keep_inputs_only(weighted)(exponentials, inputs.value)
    return Weighted(values, jnp.sum(exponentials, -1, keepdims=True))


def normalize(sums: Weighted, *, dtype: jnp.dtype) -> jax.Array:
    """Returns values / weights as [B, T, N, H] of `dtype`.

    The division comes after the transposition. Its output, which its gradient needs, is then the
    array that the output projection keeps for its own gradient: one array is kept instead of two.
    """
    return divide(_tokens_first(sums.values), _tokens_first(sums.weights), dtype)


def _tokens_first(x: jax.Array) -> jax.Array:
    """Returns [B, T, N, …] for [B, K, N/K, T, …]."""
    B, K, G, T, H = x.shape
    return x.transpose(0, 3, 1, 2, 4).reshape(B, T, K * G, H)
