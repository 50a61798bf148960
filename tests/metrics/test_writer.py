import signal
import subprocess
import sys
import textwrap
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from codepretrain.config.schema import LoggingConfig
from codepretrain.errors import UserError
from codepretrain.files import journal
from codepretrain.metrics.evaluation_records import watch_folder
from codepretrain.metrics.writer import MetricsWriter

PLAIN = LoggingConfig(write_tensorboard=False)
LOSS = {"loss": {"value": 3.5, "standard_error": 0.1, "count": 7, "unit": "nats/token"}}

A: dict[str, Any]
B: dict[str, Any]
A, B = (
    {"digest": digest * 64, "identity": {"spec": "s", "items": "i"}, "metrics": LOSS, "items": {}}
    for digest in "ab"
)


def whole(folder: Path, record: Mapping[str, Any]) -> str:
    """Takes every item file for whole."""
    return ""


def steps_in(path):
    return [record["step"] for record in journal.read(path)]


def test_on_resume_each_step_stands_once(tmp_path):
    with MetricsWriter(tmp_path, PLAIN, "run") as writer:
        for step in (1, 2, 3, 4, 5):
            writer.log_step({"step": step, "loss": 1 / step})
        writer.log_evaluation(step=2, tokens=20, evaluator="loss", **A)
        writer.log_evaluation(step=4, tokens=40, evaluator="loss", **A)
    with MetricsWriter(tmp_path, PLAIN, "run", resumed_step=3) as writer:
        assert not writer.why_evaluate(2, "loss", A["digest"], damage=whole)
        assert writer.why_evaluate(4, "loss", A["digest"])
        writer.log_step({"step": 4, "loss": 0.25})
        writer.log_evaluation(step=4, tokens=40, evaluator="loss", **A)
    assert steps_in(tmp_path / "metrics.jsonl") == [1, 2, 3, 4]
    assert steps_in(tmp_path / "evals.jsonl") == [2, 4]
    assert journal.read(tmp_path / "evals.jsonl")[0] == {
        "step": 2,
        "tokens": 20,
        "evaluator": "loss",
        **A,
    }


def test_an_evaluation_of_another_identity_is_another_evaluation(tmp_path):
    with MetricsWriter(tmp_path, PLAIN, "run") as writer:
        writer.log_evaluation(step=2, tokens=20, evaluator="loss", **A)
    with MetricsWriter(tmp_path, PLAIN, "run", resumed_step=2) as writer:
        assert writer.why_evaluate(2, "loss", B["digest"])
        writer.log_evaluation(step=2, tokens=20, evaluator="loss", **B)
    with MetricsWriter(tmp_path, PLAIN, "run", resumed_step=2) as writer:
        assert not writer.why_evaluate(2, "loss", A["digest"], damage=whole)
        assert not writer.why_evaluate(2, "loss", B["digest"], damage=whole)
    records = journal.read(tmp_path / "evals.jsonl")
    assert [record["digest"][0] for record in records] == ["a", "b"]


def test_two_jobs_that_evaluate_a_step_at_the_same_time_both_record_it(tmp_path):
    """The job that trains, and `evaluate --watch` beside it: neither had a record as it began."""
    beside = watch_folder(tmp_path)
    with (
        MetricsWriter(tmp_path, PLAIN, "run") as training,
        MetricsWriter(beside, PLAIN, "run (watch)", beside=tmp_path) as watching,
    ):
        key = 2, "loss", A["digest"]
        assert training.why_evaluate(*key)
        assert watching.why_evaluate(*key)
        watching.log_evaluation(step=2, tokens=20, evaluator="loss", **A)
        training.log_evaluation(step=2, tokens=20, evaluator="loss", **A)
        training.log_evaluation(step=4, tokens=40, evaluator="loss", **A)
        watching.log_evaluation(step=4, tokens=40, evaluator="loss", **A)
    assert steps_in(tmp_path / "evals.jsonl") == steps_in(beside / "evals.jsonl") == [2, 4]


def test_a_run_without_a_checkpoint_starts_anew_but_keeps_what_was_measured_at_step_0(tmp_path):
    with MetricsWriter(tmp_path, PLAIN, "run") as writer:
        writer.log_evaluation(step=0, tokens=0, evaluator="loss", **A)
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
    records = journal.read(tmp_path / "metrics.jsonl")
    assert [r["loss"] for r in records] == [0.1 * step for step in range(1, 51)]


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
    with MetricsWriter(tmp_path / "run", LoggingConfig(), "run", is_primary=False) as writer:
        writer.log_step({"step": 1})
        writer.log_evaluation(step=1, tokens=1, evaluator="loss", **A)
        writer.flush()
    assert not (tmp_path / "run").exists()


def test_what_a_lost_session_logged_is_kept_in_another_file(tmp_path):
    with MetricsWriter(tmp_path, PLAIN, "run") as writer:
        for step in (1, 2, 3):
            writer.log_step({"step": step})
    with MetricsWriter(tmp_path, PLAIN, "run", resumed_step=1) as writer:
        writer.log_step({"step": 2})
    assert steps_in(tmp_path / "metrics.jsonl") == [1, 2]
    cut = journal.read(tmp_path / "metrics.cut.jsonl")
    assert [(line["resumed_step"], line["record"]["step"]) for line in cut] == [(1, 2), (1, 3)]


@pytest.mark.parametrize(
    ("cut", "num_whole"), [(1, 0), (10, 0), (11, 1), (12, 1), (13, 1), (30, 2)]
)
def test_a_truncated_file_stays_readable(tmp_path, cut, num_whole):
    with MetricsWriter(tmp_path, PLAIN, "run") as writer:
        for step in (1, 2, 3):
            writer.log_step({"step": step})
    path = tmp_path / "metrics.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:cut])  # 12 bytes a line
    assert steps_in(path) == list(range(1, num_whole + 1))
    with MetricsWriter(tmp_path, PLAIN, "run", resumed_step=num_whole) as writer:
        writer.log_step({"step": num_whole + 1})
    assert steps_in(path) == list(range(1, num_whole + 2))


def test_a_damaged_line_is_named(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\nnoise\n{"step": 2}\n')
    with pytest.raises(UserError, match=r"metrics.jsonl line 2 is damaged"):
        MetricsWriter(tmp_path, PLAIN, "run")


def test_a_record_without_its_step_is_named(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n{"loss": 1}\n')
    with pytest.raises(UserError, match=r"metrics\.jsonl line 2 is damaged .*a field 'step'"):
        MetricsWriter(tmp_path, PLAIN, "run")


def test_a_failure_is_no_result(tmp_path):
    with MetricsWriter(tmp_path, PLAIN, "run") as writer:
        failed = {name: A[name] for name in ("digest", "identity")}
        writer.log_failure(step=2, tokens=20, evaluator="loss", **failed, failure="no disk")
        assert writer.why_evaluate(2, "loss", A["digest"])
    with MetricsWriter(tmp_path, PLAIN, "run", resumed_step=2) as writer:
        assert writer.why_evaluate(2, "loss", A["digest"])
        assert writer.last_identity(2, "loss") is None
        writer.log_evaluation(step=2, tokens=20, evaluator="loss", **A)
        assert writer.last_identity(2, "loss") == A["identity"]
    failure, result = journal.read(tmp_path / "evals.jsonl")
    assert (failure["failure"], failure["metrics"]) == ("no disk", {})
    assert "failure" not in result


def test_a_resumed_writer_holds_no_record_of_the_earlier_steps(tmp_path):
    """A run of 95,000 steps would hold 190 MB until its end."""
    record = {"tokens": 10**9, "learning_rate": 1 / 3, "loss": 2 / 3, "gradient_norm": 1 / 7}
    with MetricsWriter(tmp_path, PLAIN, "trunk") as writer:
        for step in range(1, 2001):
            writer.log_step({"step": step, **record})
    tracemalloc.start()
    try:
        with MetricsWriter(tmp_path, PLAIN, "trunk", resumed_step=2000):
            held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 50 * 2000
