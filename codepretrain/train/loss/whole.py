"""The loss and its gradients in one pass, for a device that holds all logits of its positions.

With a single block of ids (W = V), a block of positions [C, V] sees every logit. So its gradients
are computed at once, from a cotangent of one, and the backward pass only scales them. This saves
the second computation of the logits, a quarter of the products (`blocks.py` needs four of the size
C · W · D, this three), at the price of [C, V] float32 at a time instead of [C, W].

On a mesh, the embedding's dims are gathered over fsdp once, and its gradient is summed over data
and fsdp once. Over tensor, maximum and sums are exchanged per block of positions.
"""

import jax
import jax.numpy as jnp
from jax import lax

from codepretrain.train.loss.layout import (
    Axes,
    Blocks,
    Positions,
    join,
    positions,
    split,
    vocabulary_layout,
)
from codepretrain.train.loss.logit_gradient import Objective, logit_gradient
from codepretrain.train.loss.products import (
    Gradients,
    gathered,
    gradient_of_hidden,
    products,
    reduced,
    unscaled_logits,
)


def is_whole(num_ids: int, blocks: Blocks) -> bool:
    """Returns whether one block covers `num_ids` ids, the device's vocabulary."""
    return vocabulary_layout(num_ids, blocks.size).num_blocks == 1


def forward_with_gradients(
    hidden: jax.Array,
    embedding: jax.Array,
    targets: jax.Array,
    weights: jax.Array,
    *,
    logit_scale: float,
    z_loss_coefficient: float,
    blocks: Blocks,
    axes: Axes,
) -> tuple[jax.Array, jax.Array, Gradients[jax.Array]]:
    """Returns target logits and log Z [B, T] float32, and the gradients of the objective.

    The objective is Σ weight · (log Z - target logit + coefficient · log Z²). One block must cover
    the device's vocabulary.
    """
    layout = vocabulary_layout(embedding.shape[0], blocks.size)
    assert layout.num_blocks == 1, "the gradients need all logits of a position"
    parts = positions(hidden, targets, num_ids=layout.num_ids, blocks=blocks, axes=axes)
    part_weights = split(weights.reshape(-1), len(parts.targets))
    block = gathered(embedding, layout, jnp.int32(0), dtype=hidden.dtype, axes=axes)
    objective = Objective(logit_scale, z_loss_coefficient)

    def add(
        d_block: jax.Array, part: tuple[Positions, jax.Array]
    ) -> tuple[jax.Array, tuple[jax.Array, jax.Array, jax.Array]]:
        (x, target), weight = part
        # Scaled where they are read: the kernel's input would otherwise be a second array [C, V].
        logits = unscaled_logits(x, block)
        target_logit = logit_scale * _targets_of(logits, target)
        target_logit = lax.psum(target_logit, axes.vocab) if axes.vocab else target_logit
        d_logits, factor, log_z = logit_gradient(
            logits, target, target_logit, weight, objective=objective, dtype=x.dtype, axes=axes
        )
        factor = factor[:, None]
        d_x, more = products(d_logits, (factor * x.astype(jnp.float32)).astype(x.dtype), block)
        return d_block + more, (target_logit, log_z, factor * d_x)

    start = jnp.zeros(block.shape[::-1], jnp.float32)
    d_block, (target_logit, log_z, d_parts) = lax.scan(add, start, (parts, part_weights))
    gradients = Gradients(
        gradient_of_hidden(d_parts, targets, axes).astype(hidden.dtype),
        reduced(d_block, blocks, axes).astype(embedding.dtype),
    )
    return join(target_logit, like=targets), join(log_z, like=targets), gradients


def _targets_of(logits: jax.Array, target: jax.Array) -> jax.Array:
    """Returns the values [C] of the targets; 0 for targets on other devices."""
    num_ids = logits.shape[1]
    index = jnp.where((target >= 0) & (target < num_ids), target, num_ids)  # the rest out of bounds
    found = jnp.take_along_axis(logits, index[:, None], axis=1, mode="fill", fill_value=0.0)
    return found[:, 0]
