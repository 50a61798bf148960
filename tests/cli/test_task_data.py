"""Data of benchmark tasks: `evaluate --download`, `evaluate --data`, and `plan`."""

import json
from pathlib import Path
from typing import Any

import pytest

from codepretrain.cli.main import main
from tests.conftest import ROOT, TINY, Command
from tests.evals.harness.conftest import place
from tests.fixtures.hub import BOOLQ, TRIVIA, Hub

pytestmark = pytest.mark.filterwarnings("default")

STUDY = ROOT / "tests" / "studies" / "benchmark_tasks.py"
CODE_STUDY = STUDY.with_name("code_benchmarks.py")


@pytest.fixture
def task_data(tmp_path: Path) -> Path:
    folder = tmp_path / "task-data"
    place(folder, "aps/super_glue", {"train": BOOLQ, "validation": BOOLQ}, "boolq")
    place(folder, "mandarjoshi/trivia_qa", {"train": TRIVIA, "validation": TRIVIA}, "rc.nocontext")
    return folder


def error(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Runs a command that fails with one line."""
    assert main([str(argument) for argument in arguments]) == 2
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_a_checkpoint_is_evaluated_on_tasks_without_network(
    trained_copy: Path, task_data: Path, tiny_overrides: list[str], command: Command
) -> None:
    arguments = ["--config", STUDY, "--workdir", trained_copy, "--phase", "branch"]
    result = command("evaluate", *arguments, "--data", task_data, *tiny_overrides)
    assert result.returncode == 0, result.stderr
    (run,) = trained_copy.glob("runs/branch-*")
    lines = (run / "evals.jsonl").read_text().splitlines()
    (record,) = [r for r in map(json.loads, lines) if r["evaluator"] == "suite"]
    metrics = record["metrics"]
    boolq, trivia = metrics["boolq/accuracy"], metrics["triviaqa/score/exact_match"]
    assert (boolq["num_items"], boolq["count"], boolq["null_value"]) == (6, 3, 0.5)
    assert metrics["average"]["value"] == pytest.approx((boolq["value"] + trivia["value"]) / 2)
    assert set(record["identity"]) >= {"items", "prompts", "tasks", "grader", "settings", "spec"}
    (items,) = run.glob("items/suite-*.jsonl")
    answers = [json.loads(line) for line in items.read_text().splitlines()]
    assert [answer["id"] for answer in answers][5:7] == ["boolq/5", "triviaqa/0"]
    assert answers[0]["prompt"].startswith("Passage 0 is about rivers.")
    # Another folder with the same data changes nothing: it is not evaluated again.
    moved = task_data.rename(task_data.with_name("moved"))
    again = command("evaluate", *arguments, "--data", moved, *tiny_overrides)
    assert "every evaluation of step" in again.stdout + again.stderr
    assert (run / "evals.jsonl").read_text().splitlines() == lines


def test_missing_data_is_one_line_before_anything_is_opened(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, prepared: Path, tiny_overrides: list[str]
) -> None:
    (tmp_path / "empty").mkdir()
    arguments = ["evaluate", "--config", STUDY, "--workdir", prepared, *tiny_overrides]
    found = error(capsys, *arguments, "--data", tmp_path / "empty")
    assert "config.evals.suite: 2 tasks cannot be evaluated: boolq: no data of" in found
    assert "the option `data` is not set" in error(capsys, *arguments)
    found = error(capsys, *arguments, "--data", tmp_path / "none")
    assert found == (
        "codepretrain: config.evals.suite: no task can be evaluated: there is no folder "
        f"{tmp_path}/none with the data of tasks. Fetch missing or damaged data with `codepretrain "
        f"evaluate --download {tmp_path}/none` on a machine with network, and name the folder with "
        "--data or config.evals.suite.options.data"
    )


def test_plan_names_missing_data(
    capsys: pytest.CaptureFixture[str], task_data: Path, tiny_overrides: list[str]
) -> None:
    arguments = ["plan", "--config", str(STUDY), "--json", *tiny_overrides]
    assert main(arguments) == 0
    (problem,) = json.loads(capsys.readouterr().out)["missing_task_data"]
    assert "boolq: no data of" in problem
    assert main([*arguments, f"--config.evals.suite.options.data={task_data}"]) == 0
    assert json.loads(capsys.readouterr().out)["missing_task_data"] == []


def test_download_fetches_and_evaluates_nothing(
    capsys: pytest.CaptureFixture[str], hub: Hub, tmp_path: Path, tiny_overrides: list[str]
) -> None:
    folder = tmp_path / "fetched"
    arguments = ["evaluate", "--config", str(STUDY), "--download", str(folder), *tiny_overrides]
    assert main([*arguments, "--workdir", str(tmp_path / "none")]) == 0
    assert "2 datasets, 4 splits" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
    assert (folder / "aps--super_glue--boolq" / "validation.parquet").exists()
    piqa = "--config.evals.suite.options.tasks=boolq,piqa"
    found = error(capsys, *arguments, piqa)
    assert "1 tasks could not be fetched, all others were: piqa: DatasetNotFoundError" in found


def test_download_fetches_programming_problems_too(
    capsys: pytest.CaptureFixture[str],
    hub: Hub,
    tmp_path: Path,
    prepared: Path,
    tiny_overrides: list[str],
) -> None:
    folder = tmp_path / "fetched"
    arguments = ["evaluate", "--config", CODE_STUDY, *tiny_overrides]
    assert main([*map(str, arguments), "--download", str(folder)]) == 0
    assert "3 datasets, 6 splits" in capsys.readouterr().err
    hub.calls.clear()
    plan = ["plan", "--config", str(CODE_STUDY), "--json", *tiny_overrides]
    assert main(plan) == 0
    missing = json.loads(capsys.readouterr().out)["missing_task_data"]
    assert [line.partition(":")[0] for line in missing] == [
        "config.evals.suite",
        "config.evals.human_eval.options.data",
        "config.evals.mbpp.options.data",
    ]
    named = [
        f"--config.evals.{name}.options.data={folder}" for name in ("suite", "human_eval", "mbpp")
    ]
    assert main([*plan, *named]) == 0
    assert json.loads(capsys.readouterr().out)["missing_task_data"] == []
    assert hub.calls == []
    # A fetched folder without one of the benchmarks is named before anything is opened.
    place = folder / "google-research-datasets--mbpp--full"
    (place / "test.parquet").unlink()
    found = error(capsys, *arguments, "--workdir", prepared, "--data", folder)
    assert "config.evals.mbpp.options.data" in found
    assert "test.parquet is missing, expected" in found


def test_both_flags_need_tasks(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for flag in ("--download", "--data"):
        found = error(capsys, "evaluate", "--config", TINY, flag, tmp_path)
        assert f"{flag}: no evaluation of the study" in found


def test_a_missing_package_is_named_with_its_extra(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tiny_overrides: list[str]
) -> None:
    import importlib.util

    find = importlib.util.find_spec

    def find_spec(name: str, *rest: Any) -> Any:
        return None if name == "lm_eval" else find(name, *rest)

    monkeypatch.setattr("codepretrain.evals.harness.libraries.find_spec", find_spec)
    found = error(capsys, "evaluate", "--config", STUDY, *tiny_overrides, "--workdir", "w")
    assert "needs `lm_eval`: not installed; run `pip install 'codepretrain[eval]'`" in found
