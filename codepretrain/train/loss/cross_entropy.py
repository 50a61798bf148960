"""Next-token cross-entropy and z-loss without an array of all logits, on one device or a mesh.

`train/loss/blocks.py` describes the loops over blocks, what they keep and what devices send each
other. Each device receives its rows of the batch, and its ids and dims of the embedding.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from codepretrain.hardware.mesh_axes import axes_of
from codepretrain.train.loss.blocks import Residuals, backward, forward
from codepretrain.train.loss.layout import Axes, Blocks
from codepretrain.train.loss.products import Gradients
from codepretrain.train.loss.whole import forward_with_gradients, is_whole
from codepretrain.train.sharding import named_sharding


class LossSums(NamedTuple):
    """Sums over the positions of a batch, each a float32 scalar. The objective is nats + z_loss."""

    nats: jax.Array  # Σ weight · -log p(target)
    z_loss: jax.Array  # Σ weight · coefficient · log Z ²
    num_targets: jax.Array  # Σ weight


def cross_entropy(
    hidden: jax.Array,
    embedding: jax.Array,
    targets: jax.Array,
    weights: jax.Array,
    *,
    logit_scale: float,
    z_loss_coefficient: float,
    blocks: Blocks,
) -> tuple[jax.Array, LossSums]:
    """Returns the objective nats + z_loss and its parts.

    Only the objective is differentiable, in `hidden` and `embedding`.

    hidden: [B, T, D] compute dtype; embedding: [V, D] float32; targets: [B, T] int32;
    weights: [B, T] float32. Logits are logit_scale · hidden · embeddingᵀ, products in the compute
    dtype and sums in float32. A position of weight 0 adds nothing, for any finite value.

    Source of the z-loss: Chowdhery et al. 2022 (PaLM), section 5; the coefficient is a setting.
    """
    settings = _Settings(logit_scale, z_loss_coefficient, blocks)
    objective, sums = _objective(hidden, embedding, targets, weights, settings)
    return objective, jax.lax.stop_gradient(sums)


def token_losses(
    hidden: jax.Array,
    embedding: jax.Array,
    targets: jax.Array,
    *,
    logit_scale: float,
    blocks: Blocks,
) -> jax.Array:
    """Returns -log p(target) at every position: [B, T] float32, in nats; not differentiable.

    Arguments as above.
    """
    settings = _Settings(logit_scale, 0.0, blocks)
    target_logit, log_z, _ = _scores(hidden, embedding, targets, settings)
    return log_z - target_logit


class _Settings(NamedTuple):
    logit_scale: float
    z_loss_coefficient: float
    blocks: Blocks


# The dim names (`hardware/mesh_axes.py`) of arrays that are split over the devices.
_Names = tuple[str | None, ...]
_HIDDEN: _Names = ("batch", "tokens", None)
_EMBEDDING: _Names = ("vocab", "embed")
_POSITIONS: _Names = ("batch", "tokens")
_RESIDUALS = Residuals[_Names](
    hidden=_HIDDEN,
    embedding=_EMBEDDING,
    targets=_POSITIONS,
    log_z=_POSITIONS,
)
_GRADIENTS = Gradients[_Names](hidden=_HIDDEN, embedding=_EMBEDDING)


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


def _sums(
    target_logit: jax.Array, log_z: jax.Array, weights: jax.Array, settings: _Settings
) -> LossSums:
    return LossSums(
        nats=jnp.sum(weights * (log_z - target_logit)),
        z_loss=jnp.sum(weights * settings.z_loss_coefficient * jnp.square(log_z)),
        num_targets=jnp.sum(weights),
    )


def _scores(
    hidden: jax.Array, embedding: jax.Array, targets: jax.Array, settings: _Settings
) -> tuple[jax.Array, jax.Array, Residuals[jax.Array]]:
    """Returns the target's logit and log Z = log Σ exp(logits), each [B, T] float32."""
    function = functools.partial(forward, logit_scale=settings.logit_scale, blocks=settings.blocks)
    on_devices = _on_each_device(
        function, settings.blocks, (_HIDDEN, _EMBEDDING, _POSITIONS), (_POSITIONS, _RESIDUALS)
    )
    target_logit, residuals = on_devices(hidden, embedding, targets)
    return target_logit, residuals.log_z, residuals


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def _objective(
    hidden: jax.Array,
    embedding: jax.Array,
    targets: jax.Array,
    weights: jax.Array,
    settings: _Settings,
) -> tuple[jax.Array, LossSums]:
    target_logit, log_z, _ = _scores(hidden, embedding, targets, settings)
    sums = _sums(target_logit, log_z, weights, settings)
    return sums.nats + sums.z_loss, sums


_Kept = Gradients[jax.Array] | tuple[Residuals[jax.Array], jax.Array]


def _objective_forward(
    hidden: jax.Array,
    embedding: jax.Array,
    targets: jax.Array,
    weights: jax.Array,
    settings: _Settings,
) -> tuple[tuple[jax.Array, LossSums], _Kept]:
    """Also returns the gradients, where one block of ids gives them; else the residuals."""
    blocks, kept = settings.blocks, None
    if is_whole(_ids_per_device(embedding, blocks), blocks):
        function = functools.partial(forward_with_gradients, **settings._asdict())
        on_devices = _on_each_device(
            function,
            blocks,
            (_HIDDEN, _EMBEDDING, _POSITIONS, _POSITIONS),
            (_POSITIONS, _POSITIONS, _GRADIENTS),
        )
        target_logit, log_z, kept = on_devices(hidden, embedding, targets, weights)
    else:
        target_logit, log_z, residuals = _scores(hidden, embedding, targets, settings)
        kept = residuals, weights
    sums = _sums(target_logit, log_z, weights, settings)
    return (sums.nats + sums.z_loss, sums), kept


def _ids_per_device(embedding: jax.Array, blocks: Blocks) -> int:
    mesh, axis = blocks.mesh, _AXES.vocab
    return embedding.shape[0] // (mesh.shape[axis] if mesh is not None and axis else 1)


def _objective_backward(
    settings: _Settings, kept: _Kept, cotangents: tuple[jax.Array, LossSums]
) -> tuple[jax.Array, jax.Array, None, None]:
    factor, _ = cotangents  # those of the sums are zero
    if isinstance(kept, Gradients):
        d_hidden, d_embedding = (factor * x.astype(jnp.float32) for x in kept)
        return d_hidden.astype(kept.hidden.dtype), d_embedding, None, None
    residuals, weights = kept
    weights = factor * weights
    d_log_z = weights * (1 + 2 * settings.z_loss_coefficient * residuals.log_z)
    function = functools.partial(backward, logit_scale=settings.logit_scale, blocks=settings.blocks)
    on_devices = _on_each_device(
        function, settings.blocks, (_RESIDUALS, _POSITIONS, _POSITIONS), _GRADIENTS
    )
    return *on_devices(residuals, -weights, d_log_z), None, None


_objective.defvjp(_objective_forward, _objective_backward)
