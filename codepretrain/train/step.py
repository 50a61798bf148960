"""The training step, and the evaluation step that computes losses without an update.

    sums, gradients   summed over the micro-batches, so they are those of the whole batch
    gradients         ÷ number of target tokens
    update            AdamW (`optim/optimizer.py`)
    accepted?         loss and gradient norm are finite, and the norm is not a spike
    state             the updated state if accepted, else the old one bit for bit; the step counts
                      in both cases

A spike is a gradient norm above `spike_factor` times the running mean of the accepted norms. The
mean is arithmetic over the first 100 updates of a phase and exponential with weight 1/100 from then
on. The first 20 updates are never spikes, because the mean is not yet reliable.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from codepretrain.config.schema import StudyConfig
from codepretrain.hardware.xla_options import xla_options
from codepretrain.model.transformer import Params, bind
from codepretrain.optim.optimizer import AdamW
from codepretrain.stream.batch import Batch
from codepretrain.train.digests import device_digests
from codepretrain.train.execution import loss_blocks, step_kernel
from codepretrain.train.loss.cross_entropy import LossSums, cross_entropy, token_losses
from codepretrain.train.numerics import deterministic_options
from codepretrain.train.sharding import (
    Constrain,
    batch_sharding,
    check_batch_size,
    named_sharding,
    replicated,
)
from codepretrain.train.state import TrainState, abstract_state, state_shardings

_NORM_WINDOW = 100  # updates that the running mean of the gradient norm covers
_MIN_UPDATES_FOR_SPIKES = 20


class StepMetrics(NamedTuple):
    """A step's metrics: replicated scalars on the devices. Reading one waits for the step."""

    loss: jax.Array  # float32, nats per target token, without z-loss
    z_loss: jax.Array  # float32, per target token, its coefficient included
    num_targets: jax.Array  # float32, Σ loss_weights
    gradient_norm: jax.Array  # float32, before clipping
    parameter_norm: jax.Array  # float32, after the step
    skipped: jax.Array  # bool
    num_skipped: jax.Array  # int32, in this phase so far
    num_consecutive_skipped: jax.Array  # int32, up to and including this step
    # [num_devices] uint32 (`digests.py`); only with config.execution.replay_interval_steps.
    gradient_digests: jax.Array | None = None  # after their reduction
    state_digests: jax.Array | None = None  # after the step

    def scalars(self) -> dict[str, jax.Array]:
        """Returns name → value of all but the digests."""
        return {name: x for name, x in self._asdict().items() if not name.endswith("_digests")}


def make_train_step(config: StudyConfig, mesh: Mesh) -> jax.stages.Wrapped:
    """Returns the jitted step: (state, batch, learning_rate, weight_decay) → (state, metrics).

    batch: [B, T] on the devices (`sharding.global_batch`); learning_rate and weight_decay: float32
    scalars (`np.float32`), which may change at every call. The state is donated: use the new one.

    Raises:
      UserError: the batch or a parameter is not divisible over the mesh, or the attention kernel
        does not run on its devices.
    """
    step_kernel(config, mesh)
    check_batch_size(
        config.training.batch_size, num_microbatches=config.execution.num_microbatches, mesh=mesh
    )
    shardings, everywhere = state_shardings(config, mesh), replicated(mesh)
    optimizer = AdamW(config.optimizer)

    def train_step(
        state: TrainState,
        batch: Batch[jax.Array],
        learning_rate: jax.Array,
        weight_decay: jax.Array,
    ) -> tuple[TrainState, StepMetrics]:
        sums, gradients = _sums_and_gradients(config, mesh, state.params, batch)
        gradients = jax.tree.map(lambda g: g / sums.num_targets, gradients)
        params, opt_state, norm = optimizer.update(
            gradients,
            state.opt_state,
            state.params,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
        )
        loss = (sums.nats + sums.z_loss) / sums.num_targets  # NaN without targets, so skipped
        accepted = _is_accepted(state, loss, norm, spike_factor=config.training.spike_factor)
        state = _next_state(state, params, opt_state, norm=norm, accepted=accepted)
        metrics = _metrics(state, sums, norm=norm, accepted=accepted)
        if config.execution.replay_interval_steps is not None:
            metrics = metrics._replace(
                gradient_digests=device_digests(gradients, shardings.params, mesh),
                state_digests=device_digests(state, shardings, mesh),
            )
        return state, metrics

    return jax.jit(
        train_step,
        in_shardings=(shardings, batch_sharding(mesh), everywhere, everywhere),
        out_shardings=(shardings, everywhere),
        donate_argnums=0,
    )


def compile_train_step(config: StudyConfig, mesh: Mesh) -> jax.stages.Compiled:
    """Returns the step compiled ahead of time for the configured batch.

    Allocates nothing, so the devices of the mesh may be a topology without hardware.
    """
    scalar = jax.ShapeDtypeStruct((), jnp.float32, sharding=replicated(mesh))
    state, batch = abstract_state(config, mesh), abstract_batch(config, mesh)
    lowered = make_train_step(config, mesh).lower(state, batch, scalar, scalar)
    device, deterministic = mesh.devices.flat[0], config.execution.deterministic
    options = deterministic_options(device.platform, deterministic=deterministic)
    return lowered.compile({**xla_options(device.device_kind), **options})


def abstract_batch(config: StudyConfig, mesh: Mesh) -> Batch[jax.ShapeDtypeStruct]:
    """Returns shape, dtype and sharding of a training batch; allocates nothing."""
    shape, sharding = (config.training.batch_size, config.data.max_seq_len), batch_sharding(mesh)
    integers = jax.ShapeDtypeStruct(shape, jnp.int32, sharding=sharding)
    weights = jax.ShapeDtypeStruct(shape, jnp.float32, sharding=sharding)
    return Batch(integers, integers, weights, integers, integers)


def make_eval_step(config: StudyConfig, mesh: Mesh) -> jax.stages.Wrapped:
    """Returns the jitted function (params, batch) → nats of every target: [B, T] float32.

    The nats are replicated, and 0 where the target has no weight. The batch may have any number of
    rows that the mesh's data-parallel axes divide.
    """
    constrain, kernel = Constrain(mesh), step_kernel(config, mesh)

    def eval_step(params: Params, batch: Batch[jax.Array]) -> jax.Array:
        model = bind(
            config.model,
            params,
            remat_policy="none",  # there is no backward pass
            attention_kernel=kernel,
            constrain=constrain,
        )
        hidden = model(batch.inputs, positions=batch.positions, segment_ids=batch.segment_ids)
        nats = token_losses(
            hidden,
            model.output_embedding(),
            batch.targets,
            logit_scale=config.model.logit_scale,
            blocks=loss_blocks(config, mesh),
        )
        return batch.loss_weights * nats

    params_sharding = state_shardings(config, mesh).params
    return jax.jit(
        eval_step,
        in_shardings=(params_sharding, batch_sharding(mesh)),
        out_shardings=replicated(mesh),
    )


def _sums_and_gradients(
    config: StudyConfig, mesh: Mesh, params: Params, batch: Batch
) -> tuple[LossSums, Params]:
    """Returns the sums over the whole batch and the gradient of nats + z_loss, float32."""
    shardings = state_shardings(config, mesh).params

    def objective(params: Params, microbatch: Batch[jax.Array]) -> tuple[jax.Array, LossSums]:
        return _loss(config, mesh, params, microbatch)

    def sums_and_gradients(microbatch: Batch[jax.Array]) -> tuple[LossSums, Params]:
        gradients, sums = jax.grad(objective, has_aux=True)(params, microbatch)
        # Sharded like the parameters: each device reduces and keeps its own part only.
        return sums, jax.lax.with_sharding_constraint(gradients, shardings)

    if config.execution.num_microbatches == 1:  # no second buffer for the gradients
        return sums_and_gradients(batch)

    def add(total: tuple[LossSums, Params], microbatch: Batch[jax.Array]) -> tuple:
        return jax.tree.map(jnp.add, total, sums_and_gradients(microbatch)), None

    zero = jnp.zeros((), jnp.float32)
    start = LossSums(zero, zero, zero), jax.tree.map(jnp.zeros_like, params)
    return jax.lax.scan(add, start, _microbatches(config, mesh, batch))[0]


def _microbatches(config: StudyConfig, mesh: Mesh, batch: Batch[jax.Array]) -> Batch[jax.Array]:
    """Returns [M, B/M, T] for [B, T]: micro-batch m takes rows m, m + M, m + 2M, … of the batch.

    So every row stays on its device; contiguous micro-batches would move them all.
    """
    M = config.execution.num_microbatches
    sharding = named_sharding(mesh, (None, "batch", "tokens"))

    def split(x: jax.Array) -> jax.Array:
        parts = x.reshape(x.shape[0] // M, M, x.shape[1]).swapaxes(0, 1)
        return jax.lax.with_sharding_constraint(parts, sharding)

    return jax.tree.map(split, batch)


def _loss(
    config: StudyConfig, mesh: Mesh, params: Params, batch: Batch[jax.Array]
) -> tuple[jax.Array, LossSums]:
    model = bind(
        config.model,
        params,
        remat_policy=config.execution.remat_policy,
        attention_kernel=step_kernel(config, mesh),
        constrain=Constrain(mesh),
        gradient_dtype=config.execution.gradient_reduction_dtype,
        unroll=config.execution.unroll_layers,
    )
    hidden = model(batch.inputs, positions=batch.positions, segment_ids=batch.segment_ids)
    return cross_entropy(
        hidden,
        model.output_embedding(),
        batch.targets,
        batch.loss_weights,
        logit_scale=config.model.logit_scale,
        z_loss_coefficient=config.training.z_loss_coefficient,
        blocks=loss_blocks(config, mesh),
    )


def _is_accepted(
    state: TrainState, loss: jax.Array, norm: jax.Array, *, spike_factor: float
) -> jax.Array:
    has_mean = state.step - state.num_skipped >= _MIN_UPDATES_FOR_SPIKES
    is_spike = has_mean & (norm > spike_factor * state.gradient_norm_mean)
    return jnp.isfinite(loss) & jnp.isfinite(norm) & ~is_spike


def _next_state(
    state: TrainState,
    params: Params,
    opt_state: optax.ScaleByAdamState,
    *,
    norm: jax.Array,
    accepted: jax.Array,
) -> TrainState:
    num_updates = (state.step - state.num_skipped).astype(jnp.float32)
    weight = jnp.maximum(1.0 / (num_updates + 1.0), 1.0 / _NORM_WINDOW)
    mean = state.gradient_norm_mean + weight * (norm - state.gradient_norm_mean)
    params, opt_state, mean = jax.tree.map(
        lambda new, old: jnp.where(accepted, new, old),
        (params, opt_state, mean),
        (state.params, state.opt_state, state.gradient_norm_mean),
    )
    skipped = (~accepted).astype(jnp.int32)
    return TrainState(
        step=state.step + 1,
        params=params,
        opt_state=opt_state,
        num_skipped=state.num_skipped + skipped,
        num_consecutive_skipped=(state.num_consecutive_skipped + 1) * skipped,
        gradient_norm_mean=mean,
    )


def _metrics(
    state: TrainState, sums: LossSums, *, norm: jax.Array, accepted: jax.Array
) -> StepMetrics:
    return StepMetrics(
        loss=sums.nats / sums.num_targets,
        z_loss=sums.z_loss / sums.num_targets,
        num_targets=sums.num_targets,
        gradient_norm=norm,
        parameter_norm=optax.tree.norm(state.params),
        skipped=~accepted,
        num_skipped=state.num_skipped,
        num_consecutive_skipped=state.num_consecutive_skipped,
    )
