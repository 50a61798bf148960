"""What is left of a phase, told by the files of its run, on a file system and in memory."""

import dataclasses
import shutil
from pathlib import Path

import pytest
from etils import epath

from codepretrain.config.schema import EvaluatorConfig, StudyConfig
from codepretrain.errors import UserError
from codepretrain.files import atomic, journal
from codepretrain.study.progress import progress
from codepretrain.study.workspace import Workspace
from tests.configs import small_study


def study(*evaluators: str) -> StudyConfig:
    evals = {name: EvaluatorConfig(kind="validation_loss") for name in evaluators}
    return dataclasses.replace(small_study(), evals=evals)


@pytest.fixture(params=["local", "memory"])
def workdir(request: pytest.FixtureRequest, tmp_path: Path) -> epath.Path:
    if request.param == "local":
        return epath.Path(tmp_path)
    return epath.Path(f"memory://bucket/{tmp_path.name}")


def write(workspace: Workspace, *, step: int, evaluated: list[tuple[str, int]]) -> None:
    run_dir = workspace.run_dir("anneal")
    atomic.write_json(run_dir / "ledger.json", {"step": step})
    with journal.Journal(run_dir / "evals.jsonl") as records:
        for evaluator, at in evaluated:
            records.append({"evaluator": evaluator, "step": at})


def test_a_phase_is_trained_at_its_end_with_every_evaluation(workdir: epath.Path) -> None:
    workspace = Workspace(study("loss"), workdir)
    assert progress(workspace, "anneal") == "to train"
    write(workspace, step=4, evaluated=[("loss", 4)])
    assert progress(workspace, "anneal") == "to train"
    write(workspace, step=10, evaluated=[])
    assert progress(workspace, "anneal") == "to train"  # evaluated at step 4, and no checkpoint
    write(workspace, step=10, evaluated=[("loss", 10)])
    assert progress(workspace, "anneal") == "trained"
    assert progress(Workspace(study("loss", "second"), workdir), "anneal") == "to train"


def test_trained_to_evaluate_to_train(trained_copy, config: StudyConfig) -> None:
    workspace = Workspace(config, trained_copy)
    assert [progress(workspace, name) for name in workspace.phases] == [
        "trained",
        "trained",
        "to train",
    ]
    added = {**config.evals, "later": EvaluatorConfig(kind="validation_loss")}
    workspace = Workspace(dataclasses.replace(config, evals=added), trained_copy)
    assert progress(workspace, "trunk") == "to evaluate"
    shutil.rmtree(workspace.run_dir("trunk") / "checkpoints" / "40")
    assert progress(workspace, "trunk") == "to train"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("ledger.json", "{}", 'expected a whole number in "step", found None'),
        ("ledger.json", '{"step": "10"}', "expected a whole number in \"step\", found '10'"),
        ("evals.jsonl", '{"evaluator": "validation"}\n', "line 1 is damaged .*'step'"),
    ],
)
def test_a_damaged_record_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    workspace = Workspace(study("loss"), epath.Path(tmp_path))
    write(workspace, step=10, evaluated=[])
    (workspace.run_dir("anneal") / name).write_text(text)
    with pytest.raises(UserError, match=f"{name}.* {message}|{name} {message}"):
        progress(workspace, "anneal")
