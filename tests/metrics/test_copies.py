"""TensorBoard and Weights & Biases get what the writer writes."""

import math
import struct
import sys
import types
from typing import Any

import pytest
from etils import epath
from tensorboardX.proto.event_pb2 import Event

from codepretrain.config.schema import LoggingConfig
from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.metrics.copies import TensorBoard, check_installed
from codepretrain.metrics.writer import MetricsWriter

PLAIN = LoggingConfig(write_tensorboard=False)
LOSS = {"loss": {"value": 3.5, "standard_error": 0.1, "count": 7, "unit": "nats/token"}}
RECORD: dict[str, Any] = {
    "digest": "d" * 64,
    "identity": {"items": "i"},
    "metrics": LOSS,
    "items": {},
}


def read_events(directory):
    """(step, tag, value) of all event files; a session start is (step, "start", None)."""
    found = []
    for name in sorted(storage.names(directory), key=lambda name: name.rsplit(".")[-1]):
        data, at = storage.read_bytes(epath.Path(directory) / name), 0
        while at < len(data):  # TFRecord: length, its crc, bytes, their crc
            (length,) = struct.unpack_from("<Q", data, at)
            event = Event.FromString(data[at + 12 : at + 12 + length])
            at += 12 + length + 4
            if event.HasField("session_log"):
                found.append((event.step, "start", None))
            found += [(event.step, v.tag, v.simple_value) for v in event.summary.value]
    return found


def test_tensorboard_gets_scalars_and_hides_the_lost_steps_after_a_resume(tmp_path):
    with MetricsWriter(tmp_path, LoggingConfig(), "run") as writer:
        writer.log_step({"step": 1, "loss": 0.5, "note": "text is not a scalar"})
        writer.log_step({"step": 2, "loss": math.nan})
        writer.log_evaluation(step=2, tokens=20, evaluator="validation", **RECORD)
    with MetricsWriter(tmp_path, LoggingConfig(), "run", resumed_step=1) as writer:
        writer.log_step({"step": 2, "loss": 0.25})
    events = read_events(tmp_path / "tensorboard")
    assert events[0] == (1, "train/loss", 0.5)
    assert events[1][:2] == (2, "train/loss")
    assert math.isnan(events[1][2])
    assert events[2:] == [
        (2, "validation/loss", 3.5),
        (2, "start", None),
        (2, "train/loss", 0.25),
    ]


def test_tensorboard_hides_a_session_that_was_lost_before_its_first_checkpoint(tmp_path):
    for loss in (0.5, 0.25):
        with MetricsWriter(tmp_path, LoggingConfig(), "run") as writer:
            writer.log_step({"step": 1, "loss": loss})
    assert read_events(tmp_path / "tensorboard") == [
        (1, "train/loss", 0.5),
        (1, "start", None),
        (1, "train/loss", 0.25),
    ]


def test_wandb_asked_for_and_not_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    asked = LoggingConfig(wandb_project="study")
    with pytest.raises(
        UserError, match=r"config.logging.wandb_project is 'study'.*pip install wandb"
    ):
        MetricsWriter(tmp_path / "run", asked, "run")
    assert not (tmp_path / "run").exists()
    check_installed(PLAIN)


def test_wandb_gets_steps_as_a_value(tmp_path, monkeypatch):
    calls: list[Any] = []

    class FakeRun:
        def define_metric(self, name, step_metric=None):
            calls.append((name, step_metric))

        def log(self, values):
            calls.append(values)

        def finish(self):
            calls.append("finished")

    def init(**options):
        calls.append(options)
        return FakeRun()

    module = types.ModuleType("wandb")
    vars(module)["init"] = init
    monkeypatch.setitem(sys.modules, "wandb", module)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: module)
    asked = LoggingConfig(write_tensorboard=False, wandb_project="study")
    with MetricsWriter(tmp_path / "phase-0123", asked, "study/phase") as writer:
        writer.log_step({"step": 3, "loss": 0.5})
    assert calls[0] == {
        "project": "study",
        "name": "study/phase",
        "id": "phase-0123",
        "resume": "allow",
        "dir": str(tmp_path / "phase-0123"),
    }
    assert calls[3:] == [{"step": 3, "train/loss": 0.5}, "finished"]


def test_an_object_store_gets_a_file_for_every_flush():
    folder = epath.Path("memory://metrics-copies/tensorboard")
    board = TensorBoard(folder, resumed_step=7)
    board.write(8, {"train/loss": 0.5})
    assert storage.names(folder) == []
    board.flush()
    board.flush()
    assert len(storage.names(folder)) == 1
    board.write(9, {"train/loss": 0.25})
    board.close()
    assert len(storage.names(folder)) == 2
    assert read_events(folder) == [
        (8, "start", None),
        (8, "train/loss", 0.5),
        (9, "train/loss", 0.25),
    ]
    storage.remove_tree(folder)


def test_an_event_is_in_the_file_when_it_is_written(tmp_path):
    board = TensorBoard(epath.Path(tmp_path), resumed_step=0)
    board.write(1, {"train/loss": 0.5})
    assert read_events(tmp_path) == [(1, "train/loss", 0.5)]
    board.close()
