"""What is trained or evaluated again, and what is an error, when files of a run are missing."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from codepretrain.config.schema import EvaluatorConfig, StudyConfig
from codepretrain.errors import UserError
from codepretrain.study.run import evaluate_phases, train_phases
from codepretrain.study.workspace import Workspace
from codepretrain.train.program import Program

CUT = ["evals.cut.jsonl", "ledger.cut.jsonl", "metrics.cut.jsonl"]


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def with_later_evaluation(config: StudyConfig) -> StudyConfig:
    later = EvaluatorConfig(kind="validation_loss", num_examples=4)
    return dataclasses.replace(config, evals={**config.evals, "later": later})


def kept_records(run: Path) -> list[str]:
    return sorted(path.name for path in run.glob("*.cut.*"))


def test_a_complete_run_without_its_checkpoints_is_not_trained_again(
    trained_copy: Path, config: StudyConfig, tmp_path: Path
) -> None:
    """Nothing is computed or changed before the user says so, and nothing is lost then."""
    config = with_later_evaluation(config)
    run = Workspace(config, trained_copy).run_dir("trunk")
    shutil.move(run / "checkpoints", tmp_path / "elsewhere")
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.suffix == ".jsonl"}
    for _ in range(2):
        with pytest.raises(
            UserError,
            match=r"saved checkpoint is missing \(step 20, 40\).*rerun with --retrain-lost",
        ):
            train_phases(Workspace(config, trained_copy), only=["trunk"], command_line="a test")
    assert before == {name: (run / name).read_bytes() for name in before}

    train_phases(
        Workspace(config, trained_copy), only=["trunk"], command_line="a test", retrain_lost=True
    )
    assert kept_records(run) == CUT
    for name in ("metrics", "evals"):
        cut = [line["record"] for line in lines(run / f"{name}.cut.jsonl")]
        assert cut == [json.loads(line) for line in before[f"{name}.jsonl"].splitlines()]
    assert len(lines(run / "metrics.jsonl")) == 40
    shutil.rmtree(run / "checkpoints")
    train_phases(
        Workspace(config, trained_copy), only=["trunk"], command_line="a test"
    )  # complete: no need


@pytest.mark.parametrize("is_damaged", [False, True])
def test_the_lost_end_of_an_evaluated_phase_is_trained_again_on_request(
    trained_copy: Path,
    config: StudyConfig,
    capsys: pytest.CaptureFixture[str],
    is_damaged: bool,
) -> None:
    run = Workspace(config, trained_copy).run_dir("trunk")
    end = run / "checkpoints" / "40"
    if is_damaged:
        (end / "state" / "manifest.ocdbt").write_bytes(b"")
    else:
        shutil.rmtree(end)
    train_phases(Workspace(config, trained_copy), only=["trunk"], command_line="a test")
    output = capsys.readouterr().out
    assert "trunk: trained already" in output
    assert is_damaged or "its checkpoint of step 40 is gone" in output
    assert kept_records(run) == []

    train_phases(
        Workspace(config, trained_copy), only=["trunk"], command_line="a test", retrain_lost=True
    )
    output = capsys.readouterr().out
    assert "trained already" not in output
    assert kept_records(run) == CUT
    assert (end / "state" / "manifest.ocdbt").stat().st_size
    evaluations = [(e["step"], e["evaluator"]) for e in lines(run / "evals.jsonl")]
    assert evaluations == [(20, "validation"), (40, "validation")]

    train_phases(
        Workspace(config, trained_copy), only=["trunk"], command_line="a test", retrain_lost=True
    )
    assert "trunk: trained already" in capsys.readouterr().out


def test_a_complete_run_that_lacks_an_evaluation_is_only_evaluated(
    trained_copy: Path, config: StudyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = with_later_evaluation(config)
    run = Workspace(config, trained_copy).run_dir("trunk")
    before = (run / "metrics.jsonl").read_bytes()

    def never(*_: object) -> None:
        raise AssertionError("the step is compiled")

    monkeypatch.setattr(Program, "compile", never)
    train_phases(Workspace(config, trained_copy), only=["trunk"], command_line="a test")
    assert (run / "metrics.jsonl").read_bytes() == before
    assert [(e["step"], e["evaluator"]) for e in lines(run / "evals.jsonl")] == [
        (20, "validation"),
        (40, "validation"),
        (40, "later"),
    ]
    assert kept_records(run) == []


def test_a_lost_checkpoint_of_a_parent_is_told_before_it_is_trained_again(
    trained_copy: Path, config: StudyConfig
) -> None:
    run = Workspace(config, trained_copy).run_dir("trunk")
    shutil.rmtree(run / "checkpoints" / "40")
    with pytest.raises(UserError, match=r"is missing \(step 40\).*again from step 20"):
        train_phases(Workspace(config, trained_copy), only=["cooldown"], command_line="a test")
    metrics = (run / "metrics.jsonl").read_bytes()
    train_phases(
        Workspace(config, trained_copy), only=["cooldown"], command_line="x", retrain_lost=True
    )
    assert (run / "metrics.jsonl").read_bytes() == metrics
    assert (run / "checkpoints" / "40").exists()


def test_the_end_is_damaged_and_the_checkpoint_before_it_is_used(
    trained_copy: Path, config: StudyConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    config = with_later_evaluation(config)
    run = Workspace(config, trained_copy).run_dir("trunk")
    losses = [record["loss"] for record in lines(run / "metrics.jsonl")]
    (run / "checkpoints" / "40" / "state" / "manifest.ocdbt").write_bytes(b"")
    train_phases(Workspace(config, trained_copy), only=["trunk"], command_line="a test")
    output = capsys.readouterr().out
    assert "damaged checkpoint" in output
    assert "from step 20" in output
    assert [record["loss"] for record in lines(run / "metrics.jsonl")] == losses
    assert kept_records(run) == CUT


@pytest.mark.parametrize(
    ("only", "step", "expected"),
    [
        (["trunk", "branch"], 40, r"'branch' has no complete checkpoint at step 40; available"),
        (["trunk", "cooldown"], None, "'cooldown' is not trained yet: run codepretrain train"),
    ],
)
def test_a_checkpoint_that_one_phase_lacks_is_named_before_another_is_evaluated(
    trained_copy: Path, config: StudyConfig, only: list[str], step: int | None, expected: str
) -> None:
    workspace = Workspace(with_later_evaluation(config), trained_copy)
    before = (workspace.run_dir("trunk") / "evals.jsonl").read_bytes()
    with pytest.raises(UserError, match=expected):
        evaluate_phases(workspace, only=only, step=step, command_line="codepretrain evaluate")
    assert (workspace.run_dir("trunk") / "evals.jsonl").read_bytes() == before
