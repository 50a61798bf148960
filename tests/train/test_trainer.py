"""Training phases in this process: records, divergence, interrupts, branch points made anew."""

import dataclasses
import gzip
import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import pytest

from codepretrain.checkpoint.manager import Checkpoints
from codepretrain.config.load import load_study
from codepretrain.config.schema import EvaluatorConfig, StudyConfig
from codepretrain.errors import Interrupted, UserError
from codepretrain.evals.evaluator import EvalResult
from codepretrain.evals.validation_loss import ValidationLoss
from codepretrain.files.lease import exclusive
from codepretrain.hosts import Channel
from codepretrain.metrics.goodput import goodput
from codepretrain.metrics.time_ledger import read_sessions
from codepretrain.model.attention_kernels import AttentionKernel
from codepretrain.study.run import evaluate_phases, train_phases
from codepretrain.study.workspace import Workspace
from codepretrain.train import trainer
from codepretrain.train.program import Program
from codepretrain.train.state import TrainState
from codepretrain.train.step import StepMetrics
from tests.conftest import TINY


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_what_a_run_records(trained: Path, config: StudyConfig) -> None:
    study = Workspace(config, trained)
    run = study.run_dir("trunk")
    logged = lines(run / "metrics.jsonl")
    assert [record["step"] for record in logged] == list(range(1, 41))
    assert [record["tokens"] for record in logged] == [512 * step for step in range(1, 41)]
    rates = [study.phases["trunk"].learning_rate(step) for step in range(40)]
    assert [record["learning_rate"] for record in logged] == rates
    assert [record["step"] for record in lines(run / "evals.jsonl")] == [20, 40]
    ledger = json.loads((run / "ledger.json").read_text())
    assert {s: entry["rows"] for s, entry in ledger["sources"].items()} == {"code": 96, "text": 224}
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["20", "40"]
    [session] = read_sessions(run / "time.jsonl")
    assert (session["session"], session["first_step"], session["last_step"]) == (0, 0, 40)
    assert sum(session["seconds"].values()) == pytest.approx(session["wall_s"])
    run_json = json.loads((run / "run.json").read_text())
    assert run_json["fingerprint"] == study.fingerprint("trunk")
    branch = json.loads((study.run_dir("branch") / "run.json").read_text())
    assert branch["parent_fingerprint"] == run_json["fingerprint"]
    assert branch["parent_step"] == 20
    [start] = lines(run / "starts.jsonl")
    assert (start["start"], start["purpose"], start["command"]) == (0, "train", "a test")
    assert start["mesh"] == {"data": 1, "fsdp": 8, "tensor": 1}
    assert start["execution"]["remat_policy"] == "none"
    assert start["packages"].keys() >= {"jax", "jaxlib", "flax", "optax", "orbax-checkpoint"}


def test_all_time_is_counted_restoring_included(
    trained_copy: Path, config: StudyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second more in restore is a second more of the session's time."""
    restore = Checkpoints.restore

    def slow(*arguments: Any, **options: Any) -> Any:
        time.sleep(1.0)
        return restore(*arguments, **options)

    monkeypatch.setattr(Checkpoints, "restore", slow)
    run = Workspace(config, trained_copy).run_dir("trunk")
    (run / "ledger.json").unlink()  # the end is not known: the phase is resumed at its end
    train_phases(Workspace(config, trained_copy), only=["trunk"], command_line="a test")
    first, second = read_sessions(run / "time.jsonl")
    assert second["seconds"]["restore"] >= 1.0
    assert sum(second["seconds"].values()) == pytest.approx(second["wall_s"])
    found = goodput([first, second])
    assert found.seconds["restore"] == first["seconds"]["restore"] + second["seconds"]["restore"]
    starts = lines(run / "starts.jsonl")
    assert [start["start"] for start in starts] == [0, 1]


def test_every_start_is_kept_with_what_it_ran_on(
    trained_copy: Path, tiny_overrides: list[str]
) -> None:
    changed = load_study(TINY, [*tiny_overrides, "--config.execution.remat_policy=full"])
    later = EvaluatorConfig(kind="validation_loss", num_examples=2)
    changed = dataclasses.replace(changed, evals={**changed.evals, "later": later})
    run = Workspace(changed, trained_copy).run_dir("trunk")
    flags = {"XLA_FLAGS": "--xla_dump_to=/x"}
    evaluate_phases(
        Workspace(changed, trained_copy), only=["trunk"], command_line="e", environment=flags
    )
    first, second = lines(run / "starts.jsonl")
    assert (first["purpose"], second["purpose"]) == ("train", "evaluate")
    assert first["execution"]["remat_policy"] == "none"
    assert second["execution"]["remat_policy"] == "full"
    assert (first["environment"], second["environment"]) == ({}, flags)


def test_a_profile_of_some_steps(
    workdir: Path, config: StudyConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    train_phases(Workspace(config, workdir), only=["trunk"], command_line="a test", profile_steps=2)
    run = Workspace(config, workdir).run_dir("trunk")
    assert f"trunk: profile written to {run / 'profile'}" in capsys.readouterr().out
    [folder] = (run / "profile" / "plugins" / "profile").iterdir()
    with gzip.open(folder / "perfetto_trace.json.gz") as file:
        events = json.load(file)["traceEvents"]
    assert any("train_step" in event.get("name", "") for event in events)
    [xplane] = folder.glob("*.xplane.pb")
    assert xplane.stat().st_size > 0


def test_a_run_says_what_it_runs_on(
    trained_copy: Path, config: StudyConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is computed; what a kernel leaves to another is told with its name."""
    evaluate_phases(Workspace(config, trained_copy), only=["branch"], step=None)
    first, *others = capsys.readouterr().out.splitlines()
    few = "evaluation 'validation': warning: 'code': its 16 sampled documents are of 16 groups"
    assert others[0].startswith(few)
    assert first == "8 × cpu, mesh data 1 × fsdp 8 × tensor 1, attention kernel blocked"
    program = Program(config)
    program.attention_kernel = AttentionKernel("cudnn")
    assert "attention kernel cudnn: it keeps at most 64 documents" in program.description()


def test_a_mistake_is_told_where_nothing_is_left_to_train(
    trained_copy: Path, tiny_overrides: list[str]
) -> None:
    mistaken = [*tiny_overrides, "--config.execution.attention_kernel=splash"]
    config = load_study(TINY, mistaken)
    with pytest.raises(UserError, match="'splash' runs on tpu, but the devices are cpu"):
        train_phases(Workspace(config, trained_copy), only=["trunk"], command_line="a test")


def test_a_child_goes_on_from_the_parents_cursors_and_digest(
    trained: Path, config: StudyConfig
) -> None:
    study = Workspace(config, trained)
    ledger = json.loads((study.run_dir("branch") / "ledger.json").read_text())
    assert ledger["sources"]["code"]["start_ordinal"] == 48  # 30% of 20 steps of 8 rows
    assert ledger["sources"]["code"]["ordinal"] == 48 + 80
    assert study.parent_digest("branch") != study.parent_digest("cooldown") != ""


def test_a_branch_point_that_is_not_kept_is_trained_again(
    trained_copy: Path, tiny_overrides: list[str]
) -> None:
    """The branch of another study begins where no checkpoint was ever due."""
    config = load_study(TINY, [*tiny_overrides, "--config.phases.branch.parent_tokens=12800"])
    workspace = Workspace(config, trained_copy)
    assert workspace.phases["branch"].parent_step == 25
    trunk = workspace.run_dir("trunk")
    before = (trunk / "metrics.jsonl").read_bytes()
    train_phases(Workspace(config, trained_copy), only=["branch"], command_line="a test")
    assert (trunk / "metrics.jsonl").read_bytes() == before
    assert sorted(p.name for p in (trunk / "checkpoints").iterdir()) == ["20", "25", "40"]
    branch = workspace.run_dir("branch")
    assert len(lines(branch / "metrics.jsonl")) == 10
    [session] = read_sessions(branch / "time.jsonl")
    assert session["seconds"]["rebuild"] > session["seconds"]["train"] > 0
    purposes = [start["purpose"] for start in lines(trunk / "starts.jsonl")]
    assert purposes == ["train", "rebuild"]
    shutil.rmtree(branch)
    first = (trunk / "checkpoints" / "25" / "checkpoint.json").read_text()
    train_phases(Workspace(config, trained_copy), only=["branch"], command_line="a test")
    assert (trunk / "checkpoints" / "25" / "checkpoint.json").read_text() == first


def test_rows_that_changed_since_the_checkpoint_are_refused(
    trained_copy: Path, config: StudyConfig
) -> None:
    """The folder of a run moved to where another phase expects its own."""
    study = Workspace(config, trained_copy)
    target = study.run_dir("cooldown")
    shutil.copytree(study.run_dir("branch"), target)
    (target / "ledger.json").unlink()
    with pytest.raises(UserError, match=r"cooldown-.* holds the run of another phase"):
        study.run_dir("cooldown")
    (target / "run.json").unlink()
    with pytest.raises(UserError, match=r"belongs to another phase: .*mixture.order: stored"):
        train_phases(Workspace(config, trained_copy), only=["cooldown"], command_line="a test")


def test_a_run_that_keeps_skipping_updates_stops(
    workdir: Path, tiny_overrides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = [
        "--config.training.max_consecutive_skips=3",
        "--config.phases.trunk.schedule.peak_learning_rate=1e30",
    ]
    config = load_study(TINY, [*tiny_overrides, *flags])
    with pytest.raises(UserError, match=r"phase 'trunk' diverged: the updates of steps \d+ to \d+"):
        train_phases(Workspace(config, workdir), only=["trunk"], command_line="a test")
    logged = lines(Workspace(config, workdir).run_dir("trunk") / "metrics.jsonl")
    assert logged[-1]["num_consecutive_skipped"] >= 3
    assert any(record["skipped"] for record in logged)


def test_skipped_updates_between_two_log_points_stop_a_run(
    workdir: Path, tiny_overrides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three in a row, and another one that is accepted before the step that is logged."""
    config = load_study(TINY, [*tiny_overrides, "--config.training.max_consecutive_skips=3"])
    consecutive = iter([0, 1, 2, 3, 0, *[0] * 100])
    train_step = Program.train_step

    def skipping(*arguments: Any) -> tuple[TrainState, StepMetrics]:
        state, metrics = train_step(*arguments)
        return state, metrics._replace(num_consecutive_skipped=jnp.int32(next(consecutive)))

    monkeypatch.setattr(Program, "train_step", skipping)
    with pytest.raises(UserError, match=r"diverged: the updates of steps 1 to 3 were all skipped"):
        train_phases(Workspace(config, workdir), only=["trunk"], command_line="a test")


def test_no_step_begins_before_all_processes_have_compiled(
    workdir: Path, tiny_overrides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one would wait in a collective operation, where Gloo gives up after 30 s."""
    calls: list[str] = []
    compile_program, gather, train_step = Program.compile, Channel.gather, Program.train_step

    def compiled(program: Program) -> None:
        compile_program(program)
        calls.append("compile")

    def gathered(channel: Channel, what: str, *arguments: Any, **options: Any) -> Any:
        calls.append(what)
        return gather(channel, what, *arguments, **options)

    def stepped(*arguments: Any) -> Any:
        calls.append("step")
        return train_step(*arguments)

    monkeypatch.setattr(Program, "compile", compiled)
    monkeypatch.setattr(Channel, "gather", gathered)
    monkeypatch.setattr(Program, "train_step", stepped)
    config = load_study(TINY, tiny_overrides)
    train_phases(Workspace(config, workdir), only=["trunk"], command_line="a test")
    assert calls[calls.index("compile") + 1] == "the end of compiling"
    assert calls.count("step") == 40


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_says_how_to_go_on(
    workdir: Path,
    config: StudyConfig,
    trained: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
) -> None:
    batches = trainer.global_batch
    seen = []

    def stops_at_the_eighth(*arguments: Any) -> Any:
        seen.append(1)
        if len(seen) == 8:
            os.kill(os.getpid(), number)
        return batches(*arguments)

    monkeypatch.setattr(trainer, "global_batch", stops_at_the_eighth)
    with pytest.raises(Interrupted, match="at step 8 of 40; everything is saved") as stopped:
        train_phases(Workspace(config, workdir), only=["trunk"], command_line="a test")
    assert stopped.value.signal_number == number
    train_phases(Workspace(config, workdir), only=["trunk"], command_line="a test")
    ours, theirs = (
        [
            record["loss"]
            for record in lines(Workspace(config, w).run_dir("trunk") / "metrics.jsonl")
        ]
        for w in (workdir, trained)
    )
    assert ours == theirs


def test_an_evaluation_of_other_items_is_run_alone_and_the_older_one_is_kept(
    trained_copy: Path, tiny_overrides: list[str]
) -> None:
    flags = [
        "--config.evals.validation.interval_steps=7",
        "--config.evals.validation.num_examples=4",
    ]
    config = load_study(TINY, [*tiny_overrides, *flags])
    run = Workspace(config, trained_copy).run_dir("trunk")
    metrics = (run / "metrics.jsonl").read_bytes()
    evaluate_phases(Workspace(config, trained_copy), only=["trunk"])
    records = lines(run / "evals.jsonl")
    assert [record["step"] for record in records] == [20, 40, 40]
    assert records[1]["digest"] != records[2]["digest"]
    assert len(list((run / "items").glob("validation-00000040-*.npz"))) == 2
    evaluate_phases(Workspace(config, trained_copy), only=["trunk"])
    assert lines(run / "evals.jsonl") == records
    (run / "evals.jsonl").write_text("")
    evaluate_phases(Workspace(config, trained_copy), only=["trunk"], step=20)
    assert [record["step"] for record in lines(run / "evals.jsonl")] == [20]
    with pytest.raises(
        UserError, match=r"no complete checkpoint at step 7; available steps: 20, 40"
    ):
        evaluate_phases(Workspace(config, trained_copy), only=["trunk"], step=7)
    train_phases(Workspace(config, trained_copy), only=["trunk"], command_line="a test")
    assert [record["step"] for record in lines(run / "evals.jsonl")] == [20, 40]
    assert (run / "metrics.jsonl").read_bytes() == metrics


def test_a_failing_evaluation_stops_with_everything_saved_or_is_recorded(
    workdir: Path,
    trained: Path,
    tiny_overrides: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It fails at step 9, where the run stops; told to go on, it fails there again, and at 27."""
    evaluate, num_calls = ValidationLoss.__call__, 0

    def fail_at_times(self: ValidationLoss, *arguments: Any) -> EvalResult:
        nonlocal num_calls
        num_calls += 1
        if num_calls in (1, 2, 4):
            raise UserError(f"no rows at call {num_calls}")
        return evaluate(self, *arguments)

    monkeypatch.setattr(ValidationLoss, "__call__", fail_at_times)
    period = "--config.evals.validation.interval_tokens=4600"  # 9 steps have 4,608
    flags = [*tiny_overrides, "--config.evals.validation.interval_steps=None", period]
    config = load_study(TINY, flags)
    run = Workspace(config, workdir).run_dir("trunk")
    with pytest.raises(
        UserError, match=r"^config\.evals\.validation \(validation_loss\) failed at "
    ):
        train_phases(Workspace(config, workdir), only=["trunk"], command_line="a test")
    assert lines(run / "evals.jsonl") == []
    assert (run / "checkpoints" / "9").exists()
    config = load_study(TINY, [*flags, "--config.evals.validation.on_failure=continue"])
    train_phases(Workspace(config, workdir), only=["trunk"], command_line="a test")
    assert [(r["step"], r.get("failure")) for r in lines(run / "evals.jsonl")] == [
        (9, "no rows at call 2"),
        (18, None),
        (27, "no rows at call 4"),
        (36, None),
        (40, None),
    ]
    unbroken = Workspace(config, trained).run_dir("trunk") / "metrics.jsonl"
    ours = [record["loss"] for record in lines(run / "metrics.jsonl")]
    assert ours == [record["loss"] for record in lines(unbroken)]


def test_two_processes_cannot_train_one_run(
    trained_copy: Path, config: StudyConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Workspace(config, trained_copy).run_dir("cooldown")
    with exclusive(run), pytest.raises(UserError, match="is in use by process"):
        train_phases(Workspace(config, trained_copy), only=["cooldown"], command_line="a test")
