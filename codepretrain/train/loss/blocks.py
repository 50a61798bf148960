"""The loss on one device: loops over blocks of the vocabulary, and within them over positions.

P positions in blocks of C; the device's V ids in blocks of W; D model. The largest buffer is [C, W]
float32, besides the gradients of the hidden states and of the embedding.

Several blocks of ids    forward and backward each pass once over the vocabulary, and the backward
                         pass recomputes the logits: four products of [C, D] and [W, D]
one block, W = V         a block of positions sees all its logits, so the forward pass goes on to
                         their gradients (`forward_with_gradients`): three products, and the
                         backward pass only scales the result

Communication between the devices of a mesh:

    per block of the vocabulary    its dims are gathered over fsdp, in the compute dtype, once
                                   forward and once backward; its gradient is summed over data and
                                   fsdp, and each device along fsdp keeps its own dims
    once                           over tensor: the maximum and the sums over the vocabulary in the
                                   forward pass (with one block: per block of positions), the
                                   gradient of the hidden states in the backward
"""

from typing import Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import lax

from codepretrain.train.loss.layout import (
    Axes,
    Blocks,
    Positions,
    VocabularyLayout,
    join,
    positions,
    split,
    vocabulary_layout,
)
from codepretrain.train.loss.products import (
    Gradients,
    gathered,
    gradient_of_hidden,
    logits_of,
    products,
    reduced,
)

Leaf = TypeVar("Leaf")


class Residuals(NamedTuple, Generic[Leaf]):
    """Residuals of the forward pass: [B, T, …] each, except the embedding."""

    hidden: Leaf
    embedding: Leaf
    targets: Leaf
    log_z: Leaf  # log Σ exp(logits)


class _Running(NamedTuple):
    """Running statistics of every position over the blocks so far: [C] float32 each."""

    maximum: jax.Array
    total: jax.Array  # Σ exp(logit - maximum)
    target_logit: jax.Array  # 0 until the target's block


def _with_block(
    running: _Running, logits: jax.Array, target: jax.Array, ids: jax.Array
) -> _Running:
    """Returns the statistics with the logits [C, W] of one more block."""
    maximum = jnp.maximum(running.maximum, jnp.max(logits, axis=-1))
    total = running.total * jnp.exp(running.maximum - maximum)
    total += jnp.sum(jnp.exp(logits - maximum[:, None]), axis=-1)
    is_target = target[:, None] == ids[None]
    target_logit = running.target_logit + jnp.sum(jnp.where(is_target, logits, 0.0), axis=-1)
    return _Running(maximum, total, target_logit)


def _before_any_block(targets: jax.Array) -> _Running:
    zeros = jnp.zeros(targets.shape, jnp.float32)
    return _Running(jnp.full_like(zeros, -jnp.inf), zeros, zeros)


def _sums_over_vocabulary(running: _Running, axes: Axes) -> _Running:
    """Returns the statistics over the blocks of all devices."""
    if axes.vocab is None:
        return running
    maximum = lax.pmax(running.maximum, axes.vocab)
    total = running.total * jnp.exp(running.maximum - maximum)
    return _Running(maximum, *lax.psum((total, running.target_logit), axes.vocab))


def forward(
    hidden: jax.Array,
    embedding: jax.Array,
    targets: jax.Array,
    *,
    logit_scale: float,
    blocks: Blocks,
    axes: Axes,
) -> tuple[jax.Array, Residuals[jax.Array]]:
    """Returns the targets' logits [B, T] float32, and the residuals with log Z.

    hidden: [B, T, D]; embedding: [V, D], or this device's part of both dims; targets: [B, T] int32.
    """
    layout = vocabulary_layout(embedding.shape[0], blocks.size)
    parts = positions(hidden, targets, num_ids=layout.num_ids, blocks=blocks, axes=axes)
    running = _scan(parts, embedding, layout, logit_scale=logit_scale, axes=axes)
    maximum, total, target_logit = (join(x, like=targets) for x in running)
    log_z = maximum + jnp.log(total)
    return target_logit, Residuals(hidden, embedding, targets, log_z)


def _scan(
    parts: Positions,
    embedding: jax.Array,
    layout: VocabularyLayout,
    *,
    logit_scale: float,
    axes: Axes,
) -> _Running:
    """Returns the statistics of every position after all blocks: [parts, C] each."""

    def add_block(running: _Running, j: jax.Array) -> tuple[_Running, None]:
        block = gathered(embedding, layout, j, dtype=parts.hidden.dtype, axes=axes)
        ids = layout.ids(j)

        def add(part: tuple[_Running, Positions]) -> _Running:
            running, (x, target) = part
            return _with_block(running, logits_of(x, block, ids, logit_scale), target, ids)

        return lax.map(add, (running, parts)), None

    start = _before_any_block(parts.targets)
    running, _ = lax.scan(add_block, start, jnp.arange(layout.num_blocks, dtype=jnp.int32))
    return _sums_over_vocabulary(running, axes)


def backward(
    residuals: Residuals[jax.Array],
    d_target_logit: jax.Array,
    d_log_z: jax.Array,
    *,
    logit_scale: float,
    blocks: Blocks,
    axes: Axes,
) -> Gradients[jax.Array]:
    """Returns the gradients for the cotangents [B, T] of the target's logit and of log Z.

    d logits = d target_logit · onehot(target) + d log_z · softmax, block by block.
    """
    hidden, embedding, targets, log_z = residuals
    layout = vocabulary_layout(embedding.shape[0], blocks.size)
    parts = positions(hidden, targets, num_ids=layout.num_ids, blocks=blocks, axes=axes)
    per_position = log_z, d_target_logit * logit_scale, d_log_z * logit_scale
    known = tuple(split(x.reshape(-1), len(parts.targets)) for x in per_position)
    d_parts, d_embedding = _scan_backward(
        parts, known, embedding, logit_scale=logit_scale, blocks=blocks, axes=axes
    )
    return Gradients(
        gradient_of_hidden(d_parts, targets, axes).astype(hidden.dtype),
        d_embedding.astype(embedding.dtype),
    )


def _d_logits(
    logits: jax.Array,
    target: jax.Array,
    ids: jax.Array,
    known: tuple[jax.Array, ...],
) -> jax.Array:
    """Returns [C, W] float32. known: log Z and the cotangents of target logit and log Z, [C]."""
    log_z, d_target_logit, d_log_z = known
    d_logits = d_log_z[:, None] * jnp.exp(logits - log_z[:, None])
    is_target = target[:, None] == ids[None]
    return d_logits + jnp.where(is_target, d_target_logit[:, None], 0.0)


def _scan_backward(
    parts: Positions,
    known: tuple[jax.Array, ...],
    embedding: jax.Array,
    *,
    logit_scale: float,
    blocks: Blocks,
    axes: Axes,
) -> tuple[jax.Array, jax.Array]:
    """Returns the gradients of the positions [parts, C, D] and of the embedding, float32.

    known: log Z and the scaled cotangents of target logit and log Z, [parts, C] each.
    """
    layout, dtype = vocabulary_layout(embedding.shape[0], blocks.size), parts.hidden.dtype

    def add_block(
        carry: tuple[jax.Array, jax.Array], j: jax.Array
    ) -> tuple[tuple[jax.Array, jax.Array], None]:
        d_parts, d_embedding = carry
        block, ids = gathered(embedding, layout, j, dtype=dtype, axes=axes), layout.ids(j)

        def add(d_block: jax.Array, part: tuple) -> tuple[jax.Array, jax.Array]:
            (x, target), known, d_x = part
            d_logits = _d_logits(logits_of(x, block, ids, logit_scale), target, ids, known)
            more, d_more = products(d_logits.astype(dtype), x, block)
            return d_block + d_more, d_x + more

        start = jnp.zeros(block.shape[::-1], jnp.float32)
        d_block, d_parts = lax.scan(add, start, (parts, known, d_parts))
        d_block = reduced(d_block, blocks, axes)
        at = layout.start(j)
        d_block += lax.dynamic_slice_in_dim(d_embedding, at, layout.width)
        return (d_parts, lax.dynamic_update_slice_in_dim(d_embedding, d_block, at, 0)), None

    start = (
        jnp.zeros(parts.hidden.shape, jnp.float32),
        jnp.zeros(embedding.shape, jnp.float32),
    )
    return lax.scan(add_block, start, jnp.arange(layout.num_blocks, dtype=jnp.int32))[0]
