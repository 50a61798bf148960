"""Executes some steps a second time and compares them bit by bit, to notice silent corruption.

    state ──copy──┐
      │ step n    │ step n again, with the same program and batch
    gradients     gradients        digests of each device's part of the gradients,
    new state     (dropped)        and of the new state

A device that computes or stores a wrong bit now and then gives two different results. The digests
of the gradients name it if it is the only one that differs: from there on the norm of all
gradients spreads a wrong bit to every device. A part of a gradient is a sum over devices, so the
wrong term may come from another device than the one that holds the sum; then all devices that hold
a wrong sum are named. A device that is always wrong in the same way is not noticed.

Costs, with `config.execution.replay_interval_steps`: a copy of the state on the devices, a second
execution of one step in so many, and in every step one pass over gradients and state.
"""

import time

import jax
import numpy as np

from codepretrain.errors import DamageError
from codepretrain.hosts import gather
from codepretrain.stream.batch import Batch
from codepretrain.train.program import Program
from codepretrain.train.state import TrainState
from codepretrain.train.step import StepMetrics

_HEAD_START_S = 2.0  # for the processes whose devices differ


class ReplayedSteps:
    """Runs the steps of a program; replays each `interval`-th, none if it is None."""

    def __init__(self, program: Program, interval: int | None) -> None:
        self._program = program
        self._interval = interval

    def run(
        self,
        state: TrainState,
        batch: Batch[jax.Array],
        *,
        step: int,
        learning_rate: float,
        weight_decay: float,
    ) -> tuple[TrainState, StepMetrics]:
        """Returns the state after `step` steps, as `Program.train_step`.

        Raises:
          DamageError: on all processes, if the replay differs in any of them.
        """
        rates = learning_rate, weight_decay
        if self._interval is None or step % self._interval:
            return self._program.train_step(state, batch, *rates)
        copy = self._program.copy_state(state)
        state, metrics = self._program.train_step(state, batch, *rates)
        _, again = self._program.train_step(copy, batch, *rates)
        self._check(step, metrics, again)
        return state, metrics

    def _check(self, step: int, metrics: StepMetrics, again: StepMetrics) -> None:
        differing = {}
        for what in ("gradient_digests", "state_digests"):
            first, second = np.asarray(getattr(metrics, what)), np.asarray(getattr(again, what))
            differing[what] = np.flatnonzero(first != second).tolist()
        found = gather("the replay of a step", lambda: differing)
        gradients = sorted({place for one in found for place in one["gradient_digests"]})
        states = sorted({place for one in found for place in one["state_digests"]})
        if not gradients and not states:
            return
        places = gradients or states
        error = DamageError(
            f"step {step:,}, executed twice from the same state and batch, gave different "
            f"{'gradients' if gradients else 'states'} on {self._names(places)}: "
            "memory or arithmetic of these devices is faulty; replace them, and resume from the "
            "last checkpoint"
        )
        # A supervisor is to name the host of these devices, not the first that reports; a process
        # that hears of the end of another does not report its own error any more.
        error.is_cascade = jax.process_index() not in self._processes(places)
        if error.is_cascade:
            time.sleep(_HEAD_START_S)
        raise error

    def _names(self, places: list[int]) -> str:
        devices = self._devices(places)
        named = [
            f"process {process} (device{'s' if len(ids) > 1 else ''} {', '.join(ids)})"
            for process in self._processes(places)
            if (ids := [str(d.id) for d in devices if d.process_index == process])
        ]
        return ", ".join(named)

    def _processes(self, places: list[int]) -> list[int]:
        return sorted({device.process_index for device in self._devices(places)})

    def _devices(self, places: list[int]) -> list[jax.Device]:
        return [self._program.mesh.devices.flat[place] for place in places]
