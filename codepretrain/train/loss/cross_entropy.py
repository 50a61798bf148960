"""Next-token cross-entropy and z-loss without an array of all logits, on one device or a mesh.

`train/loss/blocks.py` describes the loops over blocks, what they keep and what devices send each
other. Each device receives its rows of the batch, and its ids and dims of the embedding.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from codepretrain.train.loss.blocks import Residuals, backward, forward
from codepretrain.train.loss.layout import Axes, Blocks
from codepretrain.train.mesh_axes import axes_of
from codepretrain.train.sharding import named_sharding


class LossSums(NamedTuple):
    """Sums over the positions of a batch, each a float32 scalar. The objective is nats + z_loss."""

    nats: jax.Array  # Σ weight · -log p(target)
    z_loss: jax.Array  # Σ weight · coefficient · log Z ²
    num_targets: jax.Array  # Σ weight


def cross_entropy_sums(
    hidden: jax.Array,
    embedding: jax.Array,
    targets: jax.Array,
    weights: jax.Array,
    *,
    logit_scale: float,
    z_loss_coefficient: float,
    blocks: Blocks,
) -> LossSums:
    """Returns the loss of a batch as sums; differentiable in `hidden` and `embedding`.

    hidden: [B, T, D] compute dtype; embedding: [V, D] float32; targets: [B, T] int32;
    weights: [B, T] float32. Logits are logit_scale · hidden · embeddingᵀ, products in the compute
    dtype and sums in float32. A position of weight 0 adds nothing, for any finite value.

    Source of the z-loss: Chowdhery et al. 2022 (PaLM), section 5; the coefficient is a setting.
    """
    target_logit, log_z = _score(hidden, embedding, targets, logit_scale, blocks)
    return LossSums(
        nats=jnp.sum(weights * (log_z - target_logit)),
        z_loss=jnp.sum(weights * z_loss_coefficient * jnp.square(log_z)),
        num_targets=jnp.sum(weights),
    )


def token_losses(
    hidden: jax.Array,
    embedding: jax.Array,
    targets: jax.Array,
    *,
    logit_scale: float,
    blocks: Blocks,
) -> jax.Array:
    """Returns -log p(target) at every position: [B, T] float32, in nats. Arguments as above."""
    target_logit, log_z = _score(hidden, embedding, targets, logit_scale, blocks)
    return log_z - target_logit


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _score(
    hidden: jax.Array, embedding: jax.Array, targets: jax.Array, logit_scale: float, blocks: Blocks
) -> tuple[jax.Array, jax.Array]:
    """Returns the target's logit and log Z = log Σ exp(logits): each [B, T] float32."""
    return _score_forward(hidden, embedding, targets, logit_scale, blocks)[0]


# The dim names (`mesh_axes.AXES`) of arrays that are split over the devices.
_Names = tuple[str | None, ...]
_HIDDEN: _Names = ("batch", "tokens", None)
_EMBEDDING: _Names = ("vocab", "embed")
_POSITIONS: _Names = ("batch", "tokens")
_RESIDUALS = Residuals[_Names](
    hidden=_HIDDEN,
    embedding=_EMBEDDING,
    targets=_POSITIONS,
    log_z=_POSITIONS,
    maximum=_POSITIONS,
    exponentials=(*_POSITIONS, "vocab"),
)


def _only(axes: tuple[str, ...]) -> str | None:
    assert len(axes) <= 1, f"the loss expects at most one axis here, not {axes}"
    return axes[0] if axes else None


_AXES = Axes(rows=axes_of("batch"), vocab=_only(axes_of("vocab")), embed=_only(axes_of("embed")))


def _on_each_device(function: Callable, blocks: Blocks, inputs: tuple, outputs: tuple) -> Callable:
    mesh = blocks.mesh
    if mesh is None or mesh.size == 1:
        return functools.partial(function, axes=Axes(rows=(), vocab=None, embed=None))
    inputs, outputs = jax.tree.map(
        lambda names: named_sharding(mesh, names).spec,
        (inputs, outputs),
        is_leaf=lambda x: (
            type(x) is tuple and all(name is None or isinstance(name, str) for name in x)
        ),
    )
    return jax.shard_map(
        functools.partial(function, axes=_AXES),
        mesh=mesh,
        in_specs=inputs,
        out_specs=outputs,
        check_vma=False,  # the sums over devices are explicit, so nothing needs to be inferred
    )


def _score_forward(
    hidden: jax.Array, embedding: jax.Array, targets: jax.Array, logit_scale: float, blocks: Blocks
) -> tuple[tuple[jax.Array, jax.Array], Residuals[jax.Array]]:
    function = functools.partial(forward, logit_scale=logit_scale, blocks=blocks)
    on_devices = _on_each_device(
        function, blocks, (_HIDDEN, _EMBEDDING, _POSITIONS), (_POSITIONS, _RESIDUALS)
    )
    target_logit, residuals = on_devices(hidden, embedding, targets)
    return (target_logit, residuals.log_z), residuals


def _score_backward(
    logit_scale: float,
    blocks: Blocks,
    residuals: Residuals[jax.Array],
    cotangents: tuple[jax.Array, jax.Array],
) -> tuple[jax.Array, jax.Array, None]:
    function = functools.partial(backward, logit_scale=logit_scale, blocks=blocks)
    on_devices = _on_each_device(
        function, blocks, (_RESIDUALS, _POSITIONS, _POSITIONS), (_HIDDEN, _EMBEDDING)
    )
    return *on_devices(residuals, *cotangents), None


_score.defvjp(_score_forward, _score_backward)
