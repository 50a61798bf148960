"""The gradient of the objective with respect to a block of logits: by a formula, and by a kernel.

For a row of logits z = scale · product with target t, and the coefficient c of the z-loss:

    d objective / d product = scale · weight · ((1 + 2 c log Z) · softmax(z) - onehot(t))

C positions, V ids.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from codepretrain.train.loss.exponentials import exponentials
from codepretrain.train.loss.layout import Axes

_SMALLEST = 1e-6  # instead of 0, where log Z = -1 / (2 c)


class LogitGradient(NamedTuple):
    """The gradient is factor · values; log Z comes with it."""

    values: jax.Array  # [C, V] compute dtype
    factor: jax.Array  # [C] float32
    log_z: jax.Array  # [C] float32


class Objective(NamedTuple):
    """How logits and the objective are made from products."""

    logit_scale: float
    z_loss_coefficient: float


def logit_gradient(
    products: jax.Array,
    target: jax.Array,
    target_logit: jax.Array,
    weight: jax.Array,
    *,
    objective: Objective,
    dtype: jnp.dtype,
    axes: Axes,
) -> LogitGradient:
    """Returns the gradient for products [C, V] float32 of hidden states and the embedding.

    target: [C] int32, this device's ids; target_logit, weight: [C] float32. The values are rounded
    to `dtype` before they are multiplied by the factor, which a product's other argument or its
    result can take.
    """
    formula = functools.partial(by_formula, objective=objective, dtype=dtype, axes=axes)
    arguments = products, target, target_logit, weight
    if axes.vocab is not None:  # the kernel's reference and sums are of all ids
        return formula(*arguments)
    kernel = functools.partial(by_kernel, objective=objective, dtype=dtype)
    return lax.platform_dependent(*arguments, cuda=kernel, default=formula)


def by_formula(
    products: jax.Array,
    target: jax.Array,
    target_logit: jax.Array,
    weight: jax.Array,
    *,
    objective: Objective,
    dtype: jnp.dtype,
    axes: Axes,
) -> LogitGradient:
    """Three passes over the products; a factor of one."""
    scale, coefficient = objective
    logits = scale * products
    maximum = jnp.max(logits, axis=-1)
    values = jnp.exp(logits - maximum[:, None])
    log_z = _log_z(maximum, jnp.sum(values, axis=-1), axes)
    d_log_z = scale * weight * (1 + 2 * coefficient * log_z)
    values *= (d_log_z * jnp.exp(maximum - log_z))[:, None]
    is_target = target[:, None] == jnp.arange(products.shape[1])[None]
    values -= jnp.where(is_target, scale * weight[:, None], 0.0)
    return LogitGradient(values.astype(dtype), jnp.ones_like(log_z), log_z)


def by_kernel(
    products: jax.Array,
    target: jax.Array,
    target_logit: jax.Array,
    weight: jax.Array,
    *,
    objective: Objective,
    dtype: jnp.dtype,
    interpret: bool = False,
) -> LogitGradient:
    """One pass over the products, which stores exponentials before log Z is known.

    The factor holds what log Z decides, and the target's value is replaced in place.
    """
    scale, coefficient = objective
    values, reference, total = exponentials(
        products, target_logit, scale=scale, dtype=dtype, interpret=interpret
    )
    log_z = reference + jnp.log(total)
    d_log_z = 1 + 2 * coefficient * log_z
    d_log_z = jnp.where(jnp.abs(d_log_z) < _SMALLEST, _SMALLEST, d_log_z)
    at_target = jnp.exp(target_logit - reference) - total / d_log_z
    rows, num_ids = jnp.arange(len(target)), products.shape[1]
    index = jnp.where(target < 0, num_ids, target)  # a negative index would count from the end
    values = values.at[rows, index].set(
        at_target.astype(dtype), mode="drop", unique_indices=True, indices_are_sorted=True
    )
    factor = scale * weight * d_log_z / total  # log Z would bring the rounding of large logits
    return LogitGradient(values, factor, log_z)


def _log_z(maximum: jax.Array, total: jax.Array, axes: Axes) -> jax.Array:
    """Returns log Σ exp(logits) over all devices' ids, from the device's maximum and sum."""
    if axes.vocab is None:
        return maximum + jnp.log(total)
    overall = lax.pmax(maximum, axes.vocab)
    return overall + jnp.log(lax.psum(total * jnp.exp(maximum - overall), axes.vocab))
