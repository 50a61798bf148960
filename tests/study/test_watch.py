"""Evaluating beside the job that trains."""

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import pytest
from etils import epath

from codepretrain.checkpoint import whole
from codepretrain.checkpoint.arrays import read_arrays
from codepretrain.checkpoint.reading import Readers
from codepretrain.checkpoint.record import read_record, write_record
from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError
from codepretrain.evals.identity import identity_digest
from codepretrain.files import storage
from codepretrain.files.lease import exclusive
from codepretrain.study.evaluations import kept_identities
from codepretrain.study.progress import progress
from codepretrain.study.report import report_study
from codepretrain.study.run import evaluate_phases, train_phases
from codepretrain.study.runner import Runner
from codepretrain.study.workspace import Workspace
from tests.conftest import ROOT, TINY


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def run(trained_copy: Path, config: StudyConfig) -> Path:
    """The trunk's run, trained without evaluations."""
    found = Path(Workspace(config, trained_copy).run_dir("trunk"))
    (found / "evals.jsonl").write_text("")
    shutil.rmtree(found / "items")
    return found


def watch(config: StudyConfig, workdir: Path) -> None:
    evaluate_phases(Workspace(config, workdir), only=["trunk"], watch_poll_s=0.1)


def test_checkpoints_are_evaluated_beside_the_job_that_holds_the_run(
    trained_copy: Path, config: StudyConfig, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with exclusive(run):
        watch(config, trained_copy)
    output = capsys.readouterr().out
    assert output.index("trunk: step 20 evaluated") < output.index("trunk: step 40 evaluated")
    found = lines(run / "watch" / "evals.jsonl")
    assert [(r["step"], r["evaluator"]) for r in found] == [(20, "validation"), (40, "validation")]
    assert (run / "evals.jsonl").read_text() == ""
    assert not (run / "items").exists()
    assert [r["purpose"] for r in lines(run / "watch" / "starts.jsonl")] == ["evaluate"] * 2

    workspace = Workspace(config, trained_copy)
    digests = {name: identity_digest(i) for name, i in kept_identities(workspace).items()}
    assert progress(workspace, "trunk", digests) == "trained"
    watch(config, trained_copy)
    evaluate_phases(workspace, only=["trunk"])
    assert "every evaluation of step 40 is recorded already" in capsys.readouterr().out
    assert lines(run / "watch" / "evals.jsonl") == found
    page = report_study(workspace, command_line="a test")
    [*steps] = json.loads((page.parent / "results.json").read_text())["phases"]["trunk"][
        "evaluations"
    ]
    assert [(e["step"], e["folder"]) for e in steps] == [
        (20, str(run / "watch")),
        (40, str(run / "watch")),
    ]


def test_what_both_evaluated_is_the_runs_own(trained_copy: Path, config: StudyConfig) -> None:
    workspace = Workspace(config, trained_copy)
    run = Path(workspace.run_dir("trunk"))
    shutil.copytree(run / "items", run / "watch" / "items")
    shutil.copy(run / "evals.jsonl", run / "watch")
    page = report_study(workspace, command_line="a test")
    results = json.loads((page.parent / "results.json").read_text())
    found = results["phases"]["trunk"]["evaluations"]
    assert [(e["step"], e["folder"]) for e in found] == [(20, str(run)), (40, str(run))]


def test_two_jobs_cannot_watch_one_run(trained_copy: Path, config: StudyConfig, run: Path) -> None:
    with exclusive(run / "watch"), pytest.raises(UserError, match="watch is in use by process"):
        watch(config, trained_copy)


def test_a_checkpoint_that_is_deleted_while_it_is_read_is_passed_over(
    trained_copy: Path, config: StudyConfig, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Runner._kept_params

    def delete_first(self: Runner, name: str, step: int):
        if step == 20:
            shutil.rmtree(run / "checkpoints" / "20")
            raise FileNotFoundError("its arrays")
        return kept(self, name, step)

    monkeypatch.setattr(Runner, "_kept_params", delete_first)
    watch(config, trained_copy)
    assert [r["step"] for r in lines(run / "watch" / "evals.jsonl")] == [40]


def make_temporary(run: Path, step: int) -> None:
    folder = run / "checkpoints" / str(step)
    write_record(folder, dataclasses.replace(read_record(folder), permanent=False))


def test_temporary_checkpoints_are_followed_on_request(
    trained_copy: Path, config: StudyConfig, run: Path
) -> None:
    """They are saved at other steps in each execution."""
    make_temporary(run, 20)
    watch(config, trained_copy)
    assert [r["step"] for r in lines(run / "watch" / "evals.jsonl")] == [40]
    workspace = Workspace(config, trained_copy)
    evaluate_phases(workspace, only=["trunk"], watch_poll_s=0.1, watches_temporary=True)
    assert [r["step"] for r in lines(run / "watch" / "evals.jsonl")] == [40, 20]


def test_a_checkpoint_is_held_while_it_is_read(
    trained_copy: Path, config: StudyConfig, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints, may_delete = run / "checkpoints", []

    def noting(folder: epath.Path, wanted: Any, **options: Any) -> Any:
        may_delete.append(Readers(checkpoints).lock_out(int(folder.parent.name)))
        return read_arrays(folder, wanted, **options)

    monkeypatch.setattr(whole, "read_arrays", noting)
    watch(config, trained_copy)
    assert may_delete == [False, False]
    assert Readers(checkpoints).lock_out(20)
    assert storage.names(run / "reading" / "40") == []


def test_a_running_phase_is_followed_to_its_end(
    workdir: Path, trained: Path, config: StudyConfig, tiny_overrides: list[str]
) -> None:
    """Another process trains; nothing exists when the watch begins."""
    flags = ["--config", str(TINY), "--workdir", str(workdir), "--phase", "trunk"]
    command = [sys.executable, "-m", "codepretrain", "train", *flags, "--no-evaluations"]
    with subprocess.Popen([*command, *tiny_overrides], cwd=ROOT) as training:
        watch(config, workdir)
        assert training.wait() == 0
    run = Path(Workspace(config, workdir).run_dir("trunk"))
    assert (run / "evals.jsonl").read_text() == ""
    theirs = lines(Path(Workspace(config, trained).run_dir("trunk")) / "evals.jsonl")
    ours = {record["step"]: record for record in lines(run / "watch" / "evals.jsonl")}
    for record in theirs:
        name = "source/text/nats_per_token"
        value = ours[record["step"]]["metrics"][name]["value"]
        assert value == pytest.approx(record["metrics"][name]["value"], rel=1e-3)
    train_phases(Workspace(config, workdir), only=["trunk"], command_line="a test")
    assert (run / "evals.jsonl").read_text() == ""


def test_the_optimizers_state_is_not_restored(
    trained_copy: Path, config: StudyConfig, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would take twice the memory of the parameters on the devices of the evaluating job."""
    restored: list[set[str]] = []

    def noting(folder: epath.Path, wanted: Any, **options: Any) -> Any:
        arrays = read_arrays(folder, wanted, **options)
        paths = [keys for keys, _ in jax.tree_util.tree_leaves_with_path(arrays)]
        restored.append({jax.tree_util.keystr(keys[:1], simple=True) for keys in paths})
        return arrays

    monkeypatch.setattr(whole, "read_arrays", noting)
    watch(config, trained_copy)
    assert restored == [{"params"}, {"params"}]
    assert [r["step"] for r in lines(run / "watch" / "evals.jsonl")] == [20, 40]
