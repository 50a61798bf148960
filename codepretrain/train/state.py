"""The training state: everything that a step changes."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from codepretrain.config.schema import StudyConfig
from codepretrain.model.transformer import Params, abstract_params, init_params, logical_axes
from codepretrain.optim.optimizer import AdamW
from codepretrain.train.numerics import PRNG_IMPL
from codepretrain.train.sharding import param_shardings, replicated


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class TrainState:
    """A phase's state after `step` of its steps. Scalars are replicated on the mesh.

    `step` counts every step of the phase, including skipped ones, so it is the number of the next
    batch; `step - num_skipped` updates have been made. `gradient_norm_mean` is the running mean of
    the gradient norms of these updates, before clipping (see `train/step.py`).
    """

    step: jax.Array  # int32
    params: Params
    opt_state: optax.ScaleByAdamState
    num_skipped: jax.Array  # int32
    num_consecutive_skipped: jax.Array  # int32, up to and including the last step
    gradient_norm_mean: jax.Array  # float32


_COUNTERS = {
    "step": jnp.int32,
    "num_skipped": jnp.int32,
    "num_consecutive_skipped": jnp.int32,
    "gradient_norm_mean": jnp.float32,
}


def init_state(config: StudyConfig, mesh: Mesh, *, seed: int) -> TrainState:
    """Returns the state of a phase without a parent: random parameters, initialized sharded.

    It depends only on the model, the optimizer and the seed: it is bitwise equal on every mesh.
    """
    init = jax.jit(lambda key: _init(config, key), out_shardings=state_shardings(config, mesh))
    return init(jax.random.key(seed, impl=PRNG_IMPL))


def _init(config: StudyConfig, key: jax.Array) -> TrainState:
    params = init_params(config.model, key)
    return TrainState(
        params=params, opt_state=AdamW(config.optimizer).init(params), **_zero_counters()
    )


def _zero_counters() -> dict[str, jax.Array]:
    return {name: jnp.zeros((), dtype) for name, dtype in _COUNTERS.items()}


def branch_state(
    config: StudyConfig, mesh: Mesh, parent: TrainState, *, carry_optimizer: bool
) -> TrainState:
    """Returns the initial state of a phase, from its parent's state at the branch point.

    Parameters carry over, as do Adam's moments and count if `carry_optimizer`. The step, the
    counters of skipped updates and the mean of the gradient norms start at zero, because norms of
    the parent's mixture do not predict those of the new one.

    The arrays that carry over are shared with the parent: donating the new state to a step deletes
    the parent's arrays as well.
    """
    if not carry_optimizer:
        return state_from_params(config, mesh, parent.params)
    return dataclasses.replace(parent, **_counters_on(state_shardings(config, mesh)))


def state_from_params(config: StudyConfig, mesh: Mesh, params: Params) -> TrainState:
    """Returns the state of a phase that starts from these parameters, with a fresh optimizer.

    The arrays are shared with `params`, as in `branch_state`.
    """
    shardings = state_shardings(config, mesh)
    init = jax.jit(AdamW(config.optimizer).init, out_shardings=shardings.opt_state)
    return TrainState(params=params, opt_state=init(params), **_counters_on(shardings))


def _counters_on(shardings: TrainState) -> dict[str, Any]:
    counters = {field: getattr(shardings, field) for field in _COUNTERS}
    return jax.jit(_zero_counters, out_shardings=counters)()


def state_shardings(config: StudyConfig, mesh: Mesh) -> TrainState:
    """Returns the sharding of every leaf: moments as their parameters, counters replicated.

    Raises:
      UserError: a parameter is not divisible over the mesh.
    """
    params = param_shardings(logical_axes(config.model), abstract_params(config.model), mesh)
    everywhere = replicated(mesh)
    counters: dict[str, Any] = dict.fromkeys(_COUNTERS, everywhere)
    return TrainState(
        params=params,
        opt_state=optax.ScaleByAdamState(count=everywhere, mu=params, nu=params),
        **counters,
    )


def abstract_state(config: StudyConfig, mesh: Mesh) -> TrainState:
    """Returns shape, dtype and sharding of every leaf; allocates nothing."""
    shapes = jax.eval_shape(lambda key: _init(config, key), jax.random.key(0, impl=PRNG_IMPL))
    return jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        shapes,
        state_shardings(config, mesh),
    )
