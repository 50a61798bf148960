"""Copies of a run's metrics for viewers: TensorBoard, and Weights & Biases."""

import importlib
import importlib.util
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from etils import epath
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary

from codepretrain.config.schema import LoggingConfig
from codepretrain.errors import UserError
from codepretrain.files.atomic import write_bytes
from codepretrain.files.storage import is_local, make_folder, names, read_bytes, remove


def check_installed(logging: LoggingConfig) -> None:
    """Raises UserError when Weights & Biases is asked for and not installed."""
    if logging.wandb_project is not None and importlib.util.find_spec("wandb") is None:
        raise UserError(
            f"config.logging.wandb_project is {logging.wandb_project!r}, but the package `wandb` "
            "is not installed: run `pip install wandb`, or remove config.logging.wandb_project"
        )


class Copy(Protocol):
    """A viewer's copy of the scalars, in addition to the JSON lines."""

    def write(self, step: int, scalars: Mapping[str, float]) -> None: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...


class TensorBoard:
    """Event files of scalars, written by the calling thread.

    tensorboardX's `SummaryWriter` hands events to a thread through a queue of ten. When the disk is
    full the thread dies, and the training loop blocks on the queue. Its event file does not.

    An object store cannot append. There the events since the last `flush` are in a local file; each
    `flush` uploads it as a separate event file and begins a new one.
    """

    def __init__(self, directory: epath.Path, resumed_step: int) -> None:
        self._directory = directory
        self._is_local = is_local(directory)
        has_earlier_events = bool(names(directory))
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        local = os.fspath(directory)
        if self._is_local:
            make_folder(directory)
        else:
            self._scratch = tempfile.TemporaryDirectory(prefix="codepretrain-tensorboard-")
            local = self._scratch.name
        self._local = Path(local)
        self._num_events = 0
        self._file = self._open()
        if resumed_step or has_earlier_events:
            # TensorBoard hides what earlier sessions logged from this step on.
            start = SessionLog(status=SessionLog.START)
            self._write(Event(step=resumed_step + 1, session_log=start))

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
        self._write(Event(step=int(step), wall_time=time.time(), summary=Summary(value=values)))

    def flush(self) -> None:
        if self._is_local:
            self._file.flush()
        elif self._num_events:
            self._upload()
            self._file = self._open()

    def close(self) -> None:
        if self._is_local:
            self._file.close()
        else:
            self._upload()
        if self._scratch is not None:
            self._scratch.cleanup()

    def _open(self) -> EventsWriter:
        suffix = f".{os.getpid()}.{time.time_ns()}"
        return EventsWriter(str(self._local / "events"), suffix)

    def _write(self, event: Event) -> None:
        self._file.write_event(event)
        self._file.flush()
        self._num_events += 1

    def _upload(self) -> None:
        self._file.close()
        for path in sorted(self._local.iterdir()):
            if self._num_events:
                write_bytes(self._directory / path.name, read_bytes(path))
            remove(path)
        self._num_events = 0


class WeightsAndBiases:
    """A Weights & Biases run. It cannot be truncated: after a crash, repeated steps appear twice.

    So "step" is a logged value and the axis of all others, not the service's own counter.
    """

    def __init__(self, run_dir: epath.Path, project: str, run_name: str) -> None:
        wandb: Any = importlib.import_module("wandb")
        folder = os.fspath(run_dir) if is_local(run_dir) else None  # None: wandb's default
        self._run = wandb.init(
            project=project, name=run_name, id=run_dir.name, resume="allow", dir=folder
        )
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        self._run.log({"step": step, **scalars})

    def flush(self) -> None:
        pass  # its own process uploads continuously

    def close(self) -> None:
        self._run.finish()
