"""What a run writes about itself: metrics, evaluations, and where its time went.

`metrics.jsonl` holds one object a logged step, `evals.jsonl` one an evaluation, `time.jsonl` one a
session (a process that worked on the run). They are the record: the report and the resume campaign
read these. TensorBoard and Weights & Biases are copies for looking at while a run is under way.
"""

import importlib
import importlib.util
import os
import time
from collections.abc import Mapping
from contextlib import ExitStack
from numbers import Real
from pathlib import Path
from typing import Any, Protocol, Self

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary

from codepretrain.config.schema import LoggingConfig
from codepretrain.errors import UserError
from codepretrain.files.journal import Journal
from codepretrain.files.json_values import plain


def check_installed(logging: LoggingConfig) -> None:
    """Raises UserError when Weights & Biases is asked for and not installed."""
    if logging.wandb_project is not None and importlib.util.find_spec("wandb") is None:
        raise UserError(
            f"logging.wandb_project is {logging.wandb_project!r}, but the package `wandb` is not "
            "installed: run `pip install wandb`, or leave logging.wandb_project out"
        )


class _Copy(Protocol):
    """A second place for scalars, beside the JSON lines."""

    def write(self, step: int, scalars: Mapping[str, float]) -> None: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...


class MetricsWriter:
    """Appends a run's metrics; on resume each step still stands once.

    A run that resumes from the checkpoint of step s logs the steps after s again. So when the
    writer opens, lines with a larger step leave the file; the whole old file is kept under a new
    name, `metrics.until-<time>.jsonl`. `step` counts
    updates made: the checkpoint of step s and the log line of step s see the same parameters.

    Only process 0 writes; on others every method does nothing.

    Raises:
      UserError: a damaged file, or Weights & Biases is asked for and not installed.
    """

    def __init__(
        self,
        run_dir: Path,
        logging: LoggingConfig,
        run_name: str,
        *,
        resumed_step: int = 0,
        process_index: int = 0,
    ) -> None:
        self._is_primary = process_index == 0
        self._copies: list[_Copy] = []
        self._evaluated: set[tuple[int, str]] = set()
        if not self._is_primary:
            return
        check_installed(logging)
        run_dir.mkdir(parents=True, exist_ok=True)
        with ExitStack() as opened:

            def open_lines(name: str) -> Journal:
                lines = Journal(run_dir / name, keeps=lambda record: record["step"] <= resumed_step)
                return opened.enter_context(lines)

            self._metrics = open_lines("metrics.jsonl")
            self._evals = open_lines("evals.jsonl")
            if logging.wandb_project is not None:
                self._copies.append(_WeightsAndBiases(run_dir, logging.wandb_project, run_name))
            if logging.write_tensorboard:
                self._copies.append(_TensorBoard(run_dir / "tensorboard", resumed_step))
            opened.pop_all()  # all are open: `close` closes them from here on
        self._evaluated = {(record["step"], record["evaluator"]) for record in self._evals.kept}

    def log_step(self, record: Mapping[str, Any]) -> None:
        """Writes one line of training metrics; `record` holds at least "step"."""
        assert "step" in record, record
        if not self._is_primary:
            return
        self._metrics.append(record)
        self._write_copies(record["step"], record, prefix="train")

    def log_evaluation(
        self, *, step: int, tokens: int, evaluator: str, metrics: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """Writes one evaluation; `metrics`: name → value, standard_error, count, unit."""
        if not self._is_primary:
            return
        assert not self.has_evaluation(step, evaluator), (step, evaluator)
        self._evals.append(
            {"step": step, "tokens": tokens, "evaluator": evaluator, "metrics": metrics}
        )
        self._evaluated.add((step, evaluator))
        values = {name: metric["value"] for name, metric in metrics.items()}
        self._write_copies(step, values, prefix=evaluator)

    def has_evaluation(self, step: int, evaluator: str) -> bool:
        """Whether the evaluation stands in the file already (process 0 alone knows)."""
        return (step, evaluator) in self._evaluated

    def flush(self) -> None:
        """Puts every line on the disk. Before a checkpoint, so that its steps are never missing."""
        if not self._is_primary:
            return
        self._metrics.sync()
        self._evals.sync()
        for copy in self._copies:
            copy.flush()

    def close(self) -> None:
        if not self._is_primary:
            return
        self._metrics.close()
        self._evals.close()
        for copy in self._copies:
            copy.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write_copies(self, step: int, values: Mapping[str, Any], *, prefix: str) -> None:
        numbers = plain({name: value for name, value in values.items() if name != "step"})
        scalars = {
            f"{prefix}/{name}": float(value)
            for name, value in numbers.items()
            if isinstance(value, Real) or value in ("NaN", "Infinity", "-Infinity")
        }
        for copy in self._copies:
            copy.write(step, scalars)


class _TensorBoard:
    """An event file of scalars, written by this thread.

    tensorboardX's `SummaryWriter` hands events to a thread through a queue of ten; when the disk is
    full the thread dies and the training loop blocks on the queue. Its event file does not.
    """

    def __init__(self, directory: Path, resumed_step: int) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        # Two sessions may begin within the second that the file's name resolves.
        self._file = EventsWriter(str(directory / "events"), f".{os.getpid()}.{time.time_ns()}")
        if resumed_step:
            # TensorBoard hides what earlier sessions logged from this step on.
            start = SessionLog(status=SessionLog.START)
            self._file.write_event(Event(step=resumed_step + 1, session_log=start))
            self._file.flush()

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
        event = Event(step=int(step), wall_time=time.time(), summary=Summary(value=values))
        self._file.write_event(event)
        self._file.flush()

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class _WeightsAndBiases:
    """A Weights & Biases run. It cannot be cut back: after a crash, steps made again stand twice.

    So "step" is a logged value, and the axis of all others, not the service's own growing counter.
    """

    def __init__(self, run_dir: Path, project: str, run_name: str) -> None:
        wandb: Any = importlib.import_module("wandb")
        name = run_dir.resolve().name
        self._run = wandb.init(
            project=project, name=run_name, id=name, resume="allow", dir=str(run_dir)
        )
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        self._run.log({"step": step, **scalars})

    def flush(self) -> None:
        pass  # its own process uploads as it goes

    def close(self) -> None:
        self._run.finish()
