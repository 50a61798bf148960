"""The products of one block of positions and one block of ids, and the sums over devices.

C positions, W ids, D model.
"""

from typing import Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import lax

from codepretrain.train.loss.layout import Axes, Blocks, VocabularyLayout, join

Leaf = TypeVar("Leaf")


class Gradients(NamedTuple, Generic[Leaf]):
    """Gradients of the objective: `hidden` [B, T, D], `embedding` [V, D] or this device's part."""

    hidden: Leaf
    embedding: Leaf


def gathered(
    embedding: jax.Array, layout: VocabularyLayout, j: jax.Array, *, dtype: jnp.dtype, axes: Axes
) -> jax.Array:
    """Returns block j of the embedding: [W, D] in the compute dtype."""
    block = lax.dynamic_slice_in_dim(embedding, layout.start(j), layout.width).astype(dtype)
    return lax.all_gather(block, axes.embed, axis=1, tiled=True) if axes.embed else block


def logits_of(hidden: jax.Array, block: jax.Array, ids: jax.Array, scale: float) -> jax.Array:
    """Returns logits [C, W] float32; -inf for masked ids (`_NO_ID`)."""
    return jnp.where(ids[None] >= 0, unscaled_logits(hidden, block) * scale, -jnp.inf)


def unscaled_logits(hidden: jax.Array, block: jax.Array) -> jax.Array:
    """Returns hidden · blockᵀ: [C, W] float32."""
    return jnp.einsum("cd,wd->cw", hidden, block, preferred_element_type=jnp.float32)


def products(d_logits: jax.Array, x: jax.Array, block: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns the gradients of hidden states [C, D] and of a block [D, W], both float32."""
    d_x = jnp.einsum("cw,wd->cd", d_logits, block, preferred_element_type=jnp.float32)
    return d_x, jnp.einsum("cw,cd->dw", d_logits, x, preferred_element_type=jnp.float32)


def reduced(d_block: jax.Array, blocks: Blocks, axes: Axes) -> jax.Array:
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


def gradient_of_hidden(d_parts: jax.Array, targets: jax.Array, axes: Axes) -> jax.Array:
    """Returns the gradient of the hidden states [B, T, D] from those of the parts [parts, C, D]."""
    d_hidden = join(d_parts, like=targets)
    return lax.psum(d_hidden, axes.vocab) if axes.vocab else d_hidden
