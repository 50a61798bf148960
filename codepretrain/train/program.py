"""The compiled program of a study: one mesh, and one step for all its phases."""

from collections.abc import Sequence
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np

from codepretrain.config.schema import StudyConfig
from codepretrain.hardware.chips import chip_of, model_flops_utilization
from codepretrain.model.remat import checked_policy
from codepretrain.model.size import flops_per_token
from codepretrain.stream.batch import Batch
from codepretrain.train.execution import check_replay, step_kernel
from codepretrain.train.numerics import pin_numerics
from codepretrain.train.sharding import check_batch_size, make_mesh, replicated
from codepretrain.train.state import TrainState, abstract_state, init_state
from codepretrain.train.step import StepMetrics, compile_train_step


class Program:
    """A study's mesh and training step. The step is compiled once, ahead of time, at first use."""

    def __init__(self, config: StudyConfig, devices: Sequence[jax.Device] | None = None) -> None:
        """Pins JAX's settings and checks the config against the devices; compiles nothing.

        Raises:
          UserError: the config does not fit the devices.
        """
        pin_numerics(config.model.compute_dtype)
        execution = config.execution
        checked_policy(execution.remat_policy)
        self.config = config
        self.mesh = make_mesh(execution.mesh, devices, d_model=config.model.d_model)
        self.attention_kernel = step_kernel(config, self.mesh)
        check_batch_size(
            config.training.batch_size, num_microbatches=execution.num_microbatches, mesh=self.mesh
        )
        check_replay(config, self.mesh)
        self.abstract_state = abstract_state(config, self.mesh)

    def description(self) -> str:
        """Returns one line: devices, mesh, attention kernel and the kernel's limits."""
        kind = self.mesh.devices.flat[0].device_kind
        mesh = " × ".join(f"{axis} {size}" for axis, size in self.mesh.shape.items())
        kernel, limits = self.attention_kernel.name, self.attention_kernel.limits
        line = f"{self.mesh.size} × {kind}, mesh {mesh}, attention kernel {kernel}"
        return f"{line}: {limits}" if limits else line

    def compile(self) -> None:
        """Compiles the step, unless it is compiled already."""
        _ = self._step
        if self.config.execution.replay_interval_steps is not None:
            _ = self._copy

    def copy_state(self, state: TrainState) -> TrainState:
        """Returns a copy, which stays when `state` is donated."""
        return self._copy(state)

    def initial_state(self, *, seed: int) -> TrainState:
        """Returns random parameters and a fresh optimizer, initialized sharded."""
        return init_state(self.config, self.mesh, seed=seed)

    def train_step(
        self, state: TrainState, batch: Batch[jax.Array], learning_rate: float, weight_decay: float
    ) -> tuple[TrainState, StepMetrics]:
        """Starts one update and returns without waiting for it; `state` is donated.

        batch: [B, T] on the devices (`sharding.global_batch`).
        """
        return self._step(state, batch, self._scalar(learning_rate), self._scalar(weight_decay))

    def mfu(self, tokens_per_s: float) -> float | None:
        """Returns the model FLOPs utilization (`hardware/chips.py`); None on unknown chips."""
        chip = chip_of(self.mesh.devices.flat[0].device_kind)
        if chip is None:
            return None
        return model_flops_utilization(
            tokens_per_s=tokens_per_s,
            flops_per_token=flops_per_token(self.config.model, self.config.data.max_seq_len),
            num_chips=self.mesh.size,
            chip=chip,
        )

    @cached_property
    def _step(self) -> jax.stages.Compiled:
        return compile_train_step(self.config, self.mesh)

    @cached_property
    def _copy(self) -> jax.stages.Compiled:
        copy = jax.jit(lambda state: jax.tree.map(jnp.copy, state))
        return copy.lower(self.abstract_state).compile()

    def _scalar(self, value: float) -> jax.Array:
        scalar = np.asarray(value, jnp.float32)
        return jax.make_array_from_callback((), replicated(self.mesh), lambda _: scalar)
