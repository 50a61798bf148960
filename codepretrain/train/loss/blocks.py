"""The loss on one device: loops over blocks of the vocabulary, and within them over positions.

P positions in blocks of C; the device's V ids in blocks of W; D model. The largest buffer is [C, W]
float32, besides the gradients of the hidden states and of the embedding. Forward and backward each
pass once over the vocabulary; the backward pass recomputes the logits. Only if a single block
covers everything is exp(logits) kept, which is no larger than the block that was computed anyway.

Communication between the devices of a mesh:

    per block of the vocabulary    its dims are gathered over fsdp, in the compute dtype, once
                                   forward and once backward; its gradient is summed over data and
                                   fsdp, and each device along fsdp keeps its own dims
    once                           over tensor: the maximum and the sums over the vocabulary in the
                                   forward pass, the gradient of the hidden states in the backward
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

Leaf = TypeVar("Leaf")


class Residuals(NamedTuple, Generic[Leaf]):
    """Residuals of the forward pass: [B, T, …] each, except the embedding."""

    hidden: Leaf
    embedding: Leaf
    targets: Leaf
    log_z: Leaf  # log Σ exp(logits)
    maximum: Leaf  # of the logits
    exponentials: Leaf | None  # exp(logits - maximum), if one block covers everything


def _gathered(
    embedding: jax.Array, layout: VocabularyLayout, j: jax.Array, *, dtype: jnp.dtype, axes: Axes
) -> jax.Array:
    """Returns block j of the embedding: [W, D] in the compute dtype."""
    block = lax.dynamic_slice_in_dim(embedding, layout.start(j), layout.width).astype(dtype)
    return lax.all_gather(block, axes.embed, axis=1, tiled=True) if axes.embed else block


def _logits(hidden: jax.Array, block: jax.Array, ids: jax.Array, scale: float) -> jax.Array:
    """Returns logits [C, W] float32; -inf for masked ids (`_NO_ID`)."""
    logits = jnp.einsum("cd,wd->cw", hidden, block, preferred_element_type=jnp.float32)
    return jnp.where(ids[None] >= 0, logits * scale, -jnp.inf)


class _Running(NamedTuple):
    """Running statistics of every position over the blocks so far: [C] float32 each."""

    maximum: jax.Array
    total: jax.Array  # Σ exp(logit - maximum)
    target_logit: jax.Array  # 0 until the target's block


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
    exponentials = None
    if layout.num_blocks == len(parts.targets) == 1:
        block = _gathered(embedding, layout, jnp.int32(0), dtype=hidden.dtype, axes=axes)
        running, exponentials = _whole(parts, block, logit_scale=logit_scale, axes=axes)
        exponentials = exponentials.reshape(*targets.shape, -1)
    else:
        running = _scan(parts, embedding, layout, logit_scale=logit_scale, axes=axes)
    maximum, total, target_logit = (join(x, like=targets) for x in running)
    log_z = maximum + jnp.log(total)
    return target_logit, Residuals(hidden, embedding, targets, log_z, maximum, exponentials)


def _whole(
    parts: Positions, block: jax.Array, *, logit_scale: float, axes: Axes
) -> tuple[_Running, jax.Array]:
    """Returns the statistics of all positions [1, P], and exp(logits - maximum): [1, P, V]."""
    logits = jnp.einsum("bpd,vd->bpv", parts.hidden, block, preferred_element_type=jnp.float32)
    logits = logits * logit_scale
    maximum = jnp.max(logits, axis=-1)
    maximum = lax.pmax(maximum, axes.vocab) if axes.vocab else maximum
    exponentials = jnp.exp(logits - maximum[..., None])
    index = _index(parts.targets, block.shape[0])[..., None]
    target_logit = jnp.take_along_axis(logits, index, -1, mode="fill", fill_value=0.0)[..., 0]
    sums = jnp.sum(exponentials, axis=-1), target_logit
    return _Running(maximum, *(lax.psum(sums, axes.vocab) if axes.vocab else sums)), exponentials


def _index(targets: jax.Array, num_ids: int) -> jax.Array:
    """Returns the targets as indices; `num_ids`, out of bounds, for those on other devices."""
    return jnp.where((targets >= 0) & (targets < num_ids), targets, num_ids)


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
        block = _gathered(embedding, layout, j, dtype=parts.hidden.dtype, axes=axes)
        ids = layout.ids(j)

        def add(part: tuple[_Running, Positions]) -> _Running:
            (maximum, total, target_logit), (x, target) = part
            logits = _logits(x, block, ids, logit_scale)
            new_maximum = jnp.maximum(maximum, jnp.max(logits, axis=-1))
            total = total * jnp.exp(maximum - new_maximum)
            total += jnp.sum(jnp.exp(logits - new_maximum[:, None]), axis=-1)
            is_target = target[:, None] == ids[None]
            target_logit += jnp.sum(jnp.where(is_target, logits, 0.0), axis=-1)
            return _Running(new_maximum, total, target_logit)

        return lax.map(add, (running, parts)), None

    zeros = jnp.zeros(parts.targets.shape, jnp.float32)
    start = _Running(jnp.full_like(zeros, -jnp.inf), zeros, zeros)
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
) -> tuple[jax.Array, jax.Array]:
    """Returns the gradients of `hidden` and of the embedding, or of this device's part of it.

    d logits = d target_logit · onehot(target) + d log_z · softmax, block by block.
    """
    hidden, embedding, targets, log_z, maximum, exponentials = residuals
    layout = vocabulary_layout(embedding.shape[0], blocks.size)
    parts = positions(hidden, targets, num_ids=layout.num_ids, blocks=blocks, axes=axes)
    cotangents = d_target_logit * logit_scale, d_log_z * logit_scale
    if exponentials is not None:
        d_logits = _d_logits_whole(parts, exponentials, log_z - maximum, cotangents)
        block = _gathered(embedding, layout, jnp.int32(0), dtype=hidden.dtype, axes=axes)
        d_parts, d_block = _products(d_logits, parts.hidden[0], block)
        d_embedding, d_parts = _reduced(d_block, blocks, axes), d_parts[None]
    else:
        log_z, d_target_logit, d_log_z = (
            split(x.reshape(-1), len(parts.targets)) for x in (log_z, *cotangents)
        )
        known = log_z, d_target_logit, d_log_z
        d_parts, d_embedding = _scan_backward(
            parts, known, embedding, logit_scale=logit_scale, blocks=blocks, axes=axes
        )
    d_hidden = join(d_parts, like=targets)
    d_hidden = lax.psum(d_hidden, axes.vocab) if axes.vocab else d_hidden
    return d_hidden.astype(hidden.dtype), d_embedding.astype(embedding.dtype)


def _d_logits_whole(
    parts: Positions,
    exponentials: jax.Array,
    log_total: jax.Array,
    cotangents: tuple[jax.Array, jax.Array],
) -> jax.Array:
    """Returns [P, V] in the compute dtype."""
    d_target_logit, d_log_z = (x.reshape(-1) for x in cotangents)
    coefficients = d_log_z * jnp.exp(-log_total.reshape(-1))
    d_logits = coefficients[:, None] * exponentials.reshape(len(coefficients), -1)
    index = _index(parts.targets[0], d_logits.shape[1])
    d_logits = d_logits.at[jnp.arange(len(index)), index].add(d_target_logit, mode="drop")
    return d_logits.astype(parts.hidden.dtype)


def _products(d_logits: jax.Array, x: jax.Array, block: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns the gradients of hidden states [C, D] and of a block [D, W], both float32."""
    d_x = jnp.einsum("cw,wd->cd", d_logits, block, preferred_element_type=jnp.float32)
    return d_x, jnp.einsum("cw,cd->dw", d_logits, x, preferred_element_type=jnp.float32)


def _reduced(d_block: jax.Array, blocks: Blocks, axes: Axes) -> jax.Array:
    """Returns a block's gradient summed over all rows: [W, D], with this device's part of D.

    d_block: [D, W], from this device's rows. D comes first because libtpu 0.0.42 does not scatter
    the dim along a tile's lanes: it would reduce everything on every chip.
    """
    if not axes.rows:
        return d_block.T
    d_block = d_block.astype(blocks.reduction_dtype)
    others = tuple(axis for axis in axes.rows if axis != axes.embed)
    d_block = lax.psum_scatter(d_block, axes.embed, scatter_dimension=0, tiled=True)
    return lax.psum(d_block, others).astype(jnp.float32).T


def _scan_backward(
    parts: Positions,
    known: tuple[jax.Array, jax.Array, jax.Array],
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
        block, ids = _gathered(embedding, layout, j, dtype=dtype, axes=axes), layout.ids(j)

        def add(d_block: jax.Array, part: tuple) -> tuple[jax.Array, jax.Array]:
            (x, target), (log_z, d_target_logit, d_log_z), d_x = part
            logits = _logits(x, block, ids, logit_scale)
            d_logits = d_log_z[:, None] * jnp.exp(logits - log_z[:, None])
            is_target = target[:, None] == ids[None]
            d_logits += jnp.where(is_target, d_target_logit[:, None], 0.0)
            more, d_more = _products(d_logits.astype(dtype), x, block)
            return d_block + d_more, d_x + more

        start = jnp.zeros(block.shape[::-1], jnp.float32)
        d_block, d_parts = lax.scan(add, start, (parts, known, d_parts))
        d_block = _reduced(d_block, blocks, axes)
        at = layout.start(j)
        d_block += lax.dynamic_slice_in_dim(d_embedding, at, layout.width)
        return (d_parts, lax.dynamic_update_slice_in_dim(d_embedding, d_block, at, 0)), None

    start = (
        jnp.zeros(parts.hidden.shape, jnp.float32),
        jnp.zeros(embedding.shape, jnp.float32),
    )
    return lax.scan(add_block, start, jnp.arange(layout.num_blocks, dtype=jnp.int32))[0]
