"""Generation one token at a time, with a cache of past keys and values.

A cache of capacity S holds sequences of different lengths side by side, each from slot 0 on:

    slot            0  1  2  3  4  5          S = 6; lengths 4 and 2
    sequence 0      a  b  c  d  .  .
    sequence 1      e  f  .  .  .  .

A token's slot is its position. Prompts are padded on the right; the keys and values of padding, in
the slots from `lengths` on, are never attended to, and the next tokens overwrite them.

    hidden, cache = prefill(model, prompts, lengths, capacity=S)
    token = argmax(model.logits(hidden))                      # [B]
    hidden, cache = decode_step(model, token, cache)          # repeat up to S - max(lengths) times
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from codepretrain.model.attention import KeyValue
from codepretrain.model.transformer import Transformer


class Cache(NamedTuple):
    """The past of B sequences. Its keys and values are [L, B, S, K, H] compute dtype."""

    past: KeyValue
    lengths: jax.Array  # [B] int32, tokens so far

    @property
    def capacity(self) -> int:
        return self.past.key.shape[2]


def prefill(
    model: Transformer, prompts: jax.Array, lengths: jax.Array, *, capacity: int
) -> tuple[jax.Array, Cache]:
    """Returns the hidden state of every prompt's last token [B, D], and the prompts' cache.

    prompts: [B, P] int32, padded on the right, P ≤ capacity; lengths: [B] int32, 1 … P.
    """
    batch_size, width = prompts.shape
    assert width <= capacity, f"prompts of {width} tokens for a cache of {capacity}"
    positions = jnp.broadcast_to(jnp.arange(width, dtype=jnp.int32)[None], prompts.shape)
    segment_ids = (positions < lengths[:, None]).astype(jnp.int32)
    rope = model.rotation(positions)
    graph, stacked = nnx.split(model.blocks)

    def body(x: jax.Array, layer: nnx.State) -> tuple[jax.Array, KeyValue]:
        return nnx.merge(graph, layer)(x, rope=rope, segment_ids=segment_ids)

    x, past = jax.lax.scan(body, model.embed(prompts), stacked)
    room = ((0, 0), (0, 0), (0, capacity - width), (0, 0), (0, 0))
    past = jax.tree.map(lambda present: jnp.pad(present, room), past)
    last = x[jnp.arange(batch_size), lengths - 1]
    return model.final_norm(last), Cache(past, lengths)


def empty_cache(model: Transformer, batch_size: int, *, capacity: int) -> Cache:
    """Returns a cache of B sequences without tokens."""
    config = model.config
    heads = (config.num_kv_heads, config.head_dim)
    shape = (config.num_layers, batch_size, capacity, *heads)
    zeros = jnp.zeros(shape, jnp.dtype(config.compute_dtype))
    return Cache(KeyValue(zeros, zeros), jnp.zeros(batch_size, jnp.int32))


def insert(model: Transformer, cache: Cache, new: Cache, sources: jax.Array) -> Cache:
    """Returns the cache with sequences of `new` in the place of some of its own.

    sources: [B] int32, the sequence of `new` that takes each place; -1: it keeps its own. The
    capacity of `new` is at most that of `cache`.
    """
    is_new = sources >= 0

    def merged(old: jax.Array, new: jax.Array) -> jax.Array:
        new = model.constrain(new[:, sources], (None, "batch", None, "kv_heads", None))
        kept = old[:, :, : new.shape[2]]
        head = jnp.where(is_new[None, :, None, None, None], new, kept)
        return jax.lax.dynamic_update_slice(old, head, (0, 0, 0, 0, 0))

    lengths = jnp.where(is_new, new.lengths[sources], cache.lengths)
    return Cache(jax.tree.map(merged, cache.past, new.past), lengths)


def decode_step(
    model: Transformer, tokens: jax.Array, cache: Cache, is_running: jax.Array | None = None
) -> tuple[jax.Array, Cache]:
    """Returns the hidden state [B, D] of one more token per sequence, and the updated cache.

    tokens: [B] int32; is_running: [B] bool, the others do not grow and get no meaningful hidden
    state. A sequence that has reached the capacity must not be continued: its token would be
    dropped.
    """
    slots = cache.lengths
    rope = model.rotation(slots[:, None])
    graph, stacked = nnx.split(model.blocks)

    def body(x: jax.Array, layer: tuple[nnx.State, KeyValue]) -> tuple[jax.Array, KeyValue]:
        block, past = layer
        return nnx.merge(graph, block).decode(x, rope=rope, past=past, slots=slots)

    x, past = jax.lax.scan(body, model.embed(tokens[:, None]), (stacked, cache.past))
    growth = jnp.int32(1) if is_running is None else is_running.astype(jnp.int32)
    return model.final_norm(x[:, 0]), Cache(past, slots + growth)
