import math
import signal
import struct
import subprocess
import sys
import textwrap
import types

import pytest
from tensorboardX.proto.event_pb2 import Event

from codepretrain.config.schema import LoggingConfig
from codepretrain.errors import UserError
from codepretrain.files import jsonl
from codepretrain.metrics.writer import MetricsWriter, check_installed

PLAIN = LoggingConfig(write_tensorboard=False)
LOSS = {"loss": {"value": 3.5, "standard_error": 0.1, "count": 7, "unit": "nats/token"}}


def steps_in(path):
    return [record["step"] for record in jsonl.read(path)]


def test_on_resume_each_step_stands_once(tmp_path):
    with MetricsWriter(tmp_path, PLAIN, "run") as writer:
        for step in (1, 2, 3, 4, 5):
            writer.log_step({"step": step, "loss": 1 / step})
        writer.log_evaluation(step=2, tokens=20, evaluator="loss", metrics=LOSS)
        writer.log_evaluation(step=4, tokens=40, evaluator="loss", metrics=LOSS)
    with MetricsWriter(tmp_path, PLAIN, "run", resumed_step=3) as writer:
        assert writer.has_evaluation(2, "loss")
        assert not writer.has_evaluation(4, "loss")
        writer.log_step({"step": 4, "loss": 0.25})
        writer.log_evaluation(step=4, tokens=40, evaluator="loss", metrics=LOSS)
    assert steps_in(tmp_path / "metrics.jsonl") == [1, 2, 3, 4]
    assert steps_in(tmp_path / "evals.jsonl") == [2, 4]
    assert jsonl.read(tmp_path / "evals.jsonl")[0] == {
        "step": 2,
        "tokens": 20,
        "evaluator": "loss",
        "metrics": LOSS,
    }


def test_a_run_without_a_checkpoint_starts_anew_but_keeps_what_was_measured_at_step_0(tmp_path):
    with MetricsWriter(tmp_path, PLAIN, "run") as writer:
        writer.log_evaluation(step=0, tokens=0, evaluator="loss", metrics=LOSS)
        writer.log_step({"step": 1})
    MetricsWriter(tmp_path, PLAIN, "run").close()
    assert steps_in(tmp_path / "metrics.jsonl") == []
    assert steps_in(tmp_path / "evals.jsonl") == [0]


def test_lines_are_there_when_the_process_is_killed(tmp_path):
    program = f"""
        import os, signal
        from pathlib import Path
        from codepretrain.config.schema import LoggingConfig
        from codepretrain.metrics.writer import MetricsWriter
        writer = MetricsWriter(Path({str(tmp_path)!r}), LoggingConfig(), "run")
        for step in range(1, 51):
            writer.log_step({{"step": step, "loss": 0.1 * step}})
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False)
    assert done.returncode == -signal.SIGKILL
    records = jsonl.read(tmp_path / "metrics.jsonl")
    assert [r["loss"] for r in records] == [0.1 * step for step in range(1, 51)]
    assert len(read_events(tmp_path / "tensorboard")) == 50


def read_events(directory):
    """(step, tag, value) of all event files; a session start is (step, "start", None)."""
    found = []
    for path in sorted(directory.iterdir(), key=lambda path: path.stat().st_mtime_ns):
        data, at = path.read_bytes(), 0
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
        writer.log_evaluation(step=2, tokens=20, evaluator="validation", metrics=LOSS)
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


def test_wandb_asked_for_and_not_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    asked = LoggingConfig(wandb_project="study")
    with pytest.raises(UserError, match=r"logging.wandb_project is 'study'.*pip install wandb"):
        MetricsWriter(tmp_path / "run", asked, "run")
    assert not (tmp_path / "run").exists()
    check_installed(PLAIN)


def test_wandb_gets_steps_as_a_value(tmp_path, monkeypatch):
    calls = []

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
    module.init = init
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


def test_the_writers_import_neither_tensorflow_nor_jax():
    program = """
        import sys
        import codepretrain.metrics.writer
        found = {"tensorflow", "jax", "torch"} & set(sys.modules)
        sys.exit(len(found))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False)
    assert done.returncode == 0


def test_other_processes_write_nothing(tmp_path):
    with MetricsWriter(tmp_path / "run", LoggingConfig(), "run", process_index=1) as writer:
        writer.log_step({"step": 1})
        writer.log_evaluation(step=1, tokens=1, evaluator="loss", metrics=LOSS)
        writer.flush()
    assert not (tmp_path / "run").exists()
