"""The metrics of the steps of a phase: awaited on the devices, written, and checked."""

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import jax

from codepretrain.errors import DivergenceError
from codepretrain.files.json_values import plain
from codepretrain.metrics.goodput import goodput
from codepretrain.metrics.progress import StepProgress
from codepretrain.metrics.stopwatch import Stopwatch
from codepretrain.metrics.time_ledger import TimeLedger
from codepretrain.metrics.writer import MetricsWriter
from codepretrain.progress_pipe import PROGRESS
from codepretrain.train.phase_run import PhaseRun
from codepretrain.train.program import Program
from codepretrain.train.step import StepMetrics
from codepretrain.train.stragglers import Stragglers, description

# Steps handed to the devices before their results are awaited: enough to hide the host's work.
_STEPS_IN_FLIGHT = 2
_FACTS = ("loss", "tokens", "tokens_per_s", "mfu", "goodput")  # those that a supervisor shows


class StepLog:
    """The steps that are not written yet, and where they are written."""

    def __init__(
        self,
        phase_run: PhaseRun,
        program: Program,
        watch: Stopwatch,
        *,
        writer: MetricsWriter,
        time_ledger: TimeLedger,
        progress: StepProgress,
    ) -> None:
        self._phase_run = phase_run
        self._program = program
        self._watch = watch
        self._writer = writer
        self._time = time_ledger
        self._progress = progress
        self._pending: deque[tuple[int, float, StepMetrics]] = deque()
        self._seconds_before: dict[str, float] = {}
        self._waited_s = 0.0  # for the devices, since the last lines
        self._times_s = dict.fromkeys(("work", "data", "step"), 0.0)
        self._stragglers = Stragglers()
        self._slow: dict[str, list[int]] = {}

    def add(self, step: int, rate: float, metrics: StepMetrics) -> None:
        """Adds a step that the devices have got; waits until all but the newest are done.

        So the host never runs far ahead.
        """
        self._pending.append((step, rate, metrics))
        PROGRESS.count()
        if len(self._pending) > _STEPS_IN_FLIGHT:
            done, _, old = self._pending[-1 - _STEPS_IN_FLIGHT]
            with self._waiting():
                jax.block_until_ready(old.loss)
            self._finish_step(done)

    def is_due(self, step: int) -> bool:
        interval = self._phase_run.config.logging.interval_steps
        return step % interval == 0 or step == self._phase_run.stop_step

    def write(self) -> None:
        """Writes the pending steps, one line each.

        Raises:
          DivergenceError: too many updates were skipped one after another.
        """
        if not self._pending:
            return
        with self._watch.spent("train"), self._waiting():
            steps = [(step, rate, jax.device_get(m)) for step, rate, m in self._pending]
        self._pending.clear()
        last_step, _, last = steps[-1]
        self._finish_step(last_step)
        rates = self._rates(len(steps), self._watch.seconds())
        shares = {
            "mfu": self._program.mfu(rates["tokens_per_s"]),
            "goodput": goodput(self._time.sessions(last_step)).goodput,
        }
        for step, rate, metrics in steps:
            record = {
                "step": step,
                "tokens": step * self._phase_run.step_tokens,
                "learning_rate": rate,
                **{name: value.item() for name, value in metrics.scalars().items()},
            }
            if step == last_step:
                slow = {"stragglers": self._slow} if self._slow else {}
                record |= {**rates, **shares, **slow}
            self._writer.log_step(record)
        self._time.save(last_step)
        self._progress.update(last_step, loss=float(last.loss), **rates)
        self._report(record)
        for step, _, metrics in steps:
            self._check_skips(step, int(metrics.num_consecutive_skipped))

    def times_us(self) -> list[int]:
        """Returns this host's microseconds a step, before the last lines: work, and data."""
        return [min(int(1e6 * self._times_s[kind]), 2**31 - 1) for kind in ("work", "data")]

    def note_times(self, step: int, times_us: Sequence[Sequence[int]]) -> None:
        """Compares the times of all processes, in their order; prints who becomes slow."""
        work, data = zip(*times_us, strict=True)
        times = {"work": [us / 1e6 for us in work], "data": [us / 1e6 for us in data]}
        before, self._slow = self._slow, self._stragglers.note(times, step_s=self._times_s["step"])
        if self._slow and self._slow != before:
            self._progress.print(
                f"{self._phase_run.name}: step {step:,}: slow hosts: "
                f"{description(self._slow, times)}"
            )

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self._waited_s += time.perf_counter() - started

    def _finish_step(self, step: int) -> None:
        if not self._phase_run.is_rebuild:  # what is reported is of the phase that waits for it
            PROGRESS.finish_step(step)

    def _report(self, record: Mapping[str, object]) -> None:
        if PROGRESS.is_connected and not self._phase_run.is_rebuild:
            facts = {name: record[name] for name in _FACTS}
            name, num_steps = self._phase_run.name, self._phase_run.num_steps
            PROGRESS.note(plain({"phase": name, "num_steps": num_steps, **facts}))

    def _rates(self, num_steps: int, seconds: Mapping[str, float]) -> dict[str, float]:
        """Returns tokens/s and the share of time spent waiting for data since the last lines."""
        spent = {k: seconds[k] - self._seconds_before.get(k, 0.0) for k in seconds}
        self._seconds_before = dict(seconds)
        stepping = spent["train"] + spent["wait_for_data"]
        work = spent["train"] + spent["program"] - self._waited_s
        self._waited_s = 0.0
        self._times_s = {
            "work": max(work, 0.0) / num_steps,
            "data": spent["wait_for_data"] / num_steps,
            "step": stepping / num_steps,
        }
        return {
            "tokens_per_s": num_steps * self._phase_run.step_tokens / stepping,
            "wait_share": spent["wait_for_data"] / stepping,
        }

    def _check_skips(self, step: int, num_skipped: int) -> None:
        name, limit = self._phase_run.name, self._phase_run.config.training.max_consecutive_skips
        if num_skipped >= limit:
            raise DivergenceError(
                f"phase {name!r} diverged: the updates of steps {step - num_skipped} to {step - 1} "
                "were all skipped (loss or gradient not finite, or gradient norm over "
                f"config.training.spike_factor times its mean; limit {limit}). The last checkpoint "
                f"is kept. To list a batch: show-batch --phase {name} --step {step - num_skipped}"
            )
