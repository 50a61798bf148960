"""The real trainer with a step that computes nothing, as one host of many: for `run_growth.py`."""

import time
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import large_study
import numpy as np
from rich.console import Console

from codepretrain.evals import estimate
from codepretrain.evals.build import Evaluator
from codepretrain.evals.evaluator import EvalResult
from codepretrain.evals.identity import full_identity
from codepretrain.evals.item_scores import ItemScores
from codepretrain.evals.progress import Progress
from codepretrain.evals.registry import evaluator_request
from codepretrain.evals.validation_loss import NATS_PER_TOKEN
from codepretrain.files.storage import read_text
from codepretrain.metrics.stopwatch import Stopwatch
from codepretrain.stream.batch import Batch
from codepretrain.stream.loader import BatchLoader
from codepretrain.study.evaluations import keep_identities
from codepretrain.study.provenance import provenance
from codepretrain.study.runner import Runner
from codepretrain.study.workspace import Workspace
from codepretrain.train.phase_run import PhaseRun
from codepretrain.train.program import Program
from codepretrain.train.sharding import global_batch
from codepretrain.train.state import TrainState
from codepretrain.train.step import StepMetrics
from codepretrain.train.trainer import Trainer

HOST, NUM_HOSTS = 7, 64
NUM_ITEMS = 1000  # scored by each evaluation, per source


def memory_mib() -> tuple[float, float]:
    """Returns resident memory of our own (RssAnon) and of mapped files (RssFile)."""
    text = read_text("/proc/self/status")
    anonymous, files = (
        int(text.split(f"{name}:")[1].split()[0]) / 1024 for name in ("RssAnon", "RssFile")
    )
    return anonymous, files


class Ended(BaseException):
    """The process has handed over its last step."""


class EmptyProgram(Program):
    """A program whose step computes nothing, on one device and the rows of one host.

    times: when each step was handed over: wall time, CPU time of the main thread, and of all.
    memory: MiB of our own and of mapped files, by step.
    last_step: ends with `Ended` before it.
    """

    def __init__(self, *arguments: Any, last_step: int) -> None:
        super().__init__(*arguments)
        self.times: list[tuple[float, float, float]] = []
        self.memory: dict[int, tuple[float, float]] = {}
        self.last_step = last_step
        self.next_step = 0

    def train_step(
        self, state: TrainState, batch: Batch[jax.Array], learning_rate: float, weight_decay: float
    ) -> tuple[TrainState, StepMetrics]:
        self.times.append((time.perf_counter(), time.thread_time(), time.process_time()))
        if not self.memory:
            self.next_step = int(state.step)
        if self.next_step % 10_000 == 1000 or not self.memory:
            self.memory[self.next_step] = memory_mib()
        if self.next_step == self.last_step:
            raise Ended
        self.next_step += 1
        return super().train_step(state, batch, learning_rate, weight_decay)

    @cached_property
    def _step(self) -> jax.stages.Compiled:
        def step(
            state: TrainState, batch: Batch[jax.Array], rate: jax.Array, decay: jax.Array
        ) -> tuple[TrainState, StepMetrics]:
            number, zero = batch.loss_weights.sum() / batch.loss_weights.size, jnp.int32(0)
            state = jax.tree.map(lambda x: x, state)
            state = state.__class__(**{**vars(state), "step": state.step + 1})
            metrics = StepMetrics(
                loss=number,
                z_loss=number,
                num_targets=number,
                gradient_norm=number,
                parameter_norm=number,
                skipped=number < 0,
                num_skipped=zero,
                num_consecutive_skipped=zero,
            )
            return state, metrics

        shape = (large_study.BATCH_SIZE // NUM_HOSTS, large_study.MAX_SEQ_LEN)
        integers, floats = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
        batch = Batch(integers, integers, floats, integers, integers)
        scalar = self._scalar(0.0)
        on_devices = global_batch(batch, self.mesh)
        jitted = jax.jit(step, donate_argnums=0)
        return jitted.lower(self.abstract_state, on_devices, scalar, scalar).compile()


class HostTrainer(Trainer):
    """A trainer that reads the rows of one of many hosts."""

    def _loader(self, step: int) -> BatchLoader:
        return host_loader(self.phase_run, step)


class HostRunner(Runner):
    """A runner of such trainers."""

    def _trainer(self, phase_run: PhaseRun, watch: Stopwatch) -> Trainer:
        return HostTrainer(phase_run, self.program, self.evaluators, self.console, watch)


def host_loader(phase_run: PhaseRun, step: int) -> BatchLoader:
    execution = phase_run.config.execution
    return BatchLoader(
        phase_run.order,
        phase_run.stores,
        process_index=HOST,
        process_count=NUM_HOSTS,
        mask_documents=True,
        start_step=step,
        prefetch=execution.prefetch_batches,
        threads=execution.reader_threads,
    )


class RandomScores:
    """An evaluation whose results do not depend on the parameters."""

    identity: Mapping[str, str] = {"items": "1", "prompts": "1", "grader": "1", "settings": "1"}

    def __call__(self, params: Any, progress: Progress, /) -> EvalResult:
        rng = np.random.default_rng()
        names = sorted(large_study.SOURCES)
        scores: dict[str, Any] = {}
        metrics = {}
        for index, source in enumerate(names):
            own = slice(index * NUM_ITEMS, (index + 1) * NUM_ITEMS)
            nats, tokens = np.full((2, len(names) * NUM_ITEMS), np.nan)
            tokens[own] = rng.integers(100, 1000, NUM_ITEMS)
            nats[own] = tokens[own] * rng.normal(3, 0.3, NUM_ITEMS)
            name = f"source/{source}/nats_per_token"
            scores |= {name: nats, f"{name}/weight": tokens}
            metrics[name] = NATS_PER_TOKEN.metric(estimate.ratio_of_sums(nats[own], tokens[own]))
        ids = [f"{source}/{number}" for source in names for number in range(NUM_ITEMS)]
        return EvalResult(metrics, ItemScores(ids, scores, [], ids))


def make_evaluators(workspace: Workspace) -> list[Evaluator]:
    """Returns the study's evaluations, with random results; keeps their identities."""
    config = workspace.config
    step_tokens = config.training.batch_size * config.data.max_seq_len
    evaluators = []
    for name, chosen in config.evals.items():
        kind, request = evaluator_request(name, chosen)
        evaluation = RandomScores()
        evaluators.append(
            Evaluator(
                name=name,
                kind=kind,
                evaluation=evaluation,
                identity=full_identity(kind, request, evaluation.identity),
                interval_tokens=1000 * step_tokens,
                step_tokens=step_tokens,
            )
        )
    keep_identities(workspace, {one.name: one.identity for one in evaluators})
    return evaluators


def make_runner(workspace: Workspace, program: EmptyProgram) -> Runner:
    return HostRunner(
        workspace,
        program,
        make_evaluators(workspace),
        Console(),
        provenance(program, command_line="run_growth.py", environment={}),
    )
