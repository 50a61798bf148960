"""Averages that are made: their values, records, restarts, and what starts from them."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from codepretrain.checkpoint.leaves import open_leaves
from codepretrain.config.load import load_study
from codepretrain.config.parse import to_dict
from codepretrain.errors import DamageError, UserError
from codepretrain.study.run import evaluate_phases, train_phases
from codepretrain.study.show_batch import show_batch
from codepretrain.study.workspace import Workspace
from codepretrain.train import step_log
from tests.conftest import ROOT

AVERAGED = ROOT / "tests" / "studies" / "averaged.py"


def params(workspace: Workspace, name: str, step: int) -> dict[str, np.ndarray]:
    with open_leaves(workspace.run_dir(name) / "checkpoints" / str(step)) as leaves:
        return {n: leaves.read(n) for n in leaves.shapes if n.startswith("params/")}


def expected(workspace: Workspace, weights: dict[tuple[str, int], float]) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for (name, step), weight in weights.items():
        for leaf, values in params(workspace, name, step).items():
            found[leaf] = found.get(leaf, np.zeros(())) + np.float64(weight) * values
    return {leaf: values.astype(np.float32) for leaf, values in found.items()}


def assert_equal(found: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert found.keys() == other.keys()
    for leaf, values in found.items():
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, other[leaf], err_msg=leaf)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, prepared: Path, tiny_overrides: list[str]):
    """The study trained in a copy of the prepared data; not to be written to."""
    workdir = Path(shutil.copytree(prepared, tmp_path_factory.mktemp("averaged") / "workdir"))
    workspace = Workspace(load_study(AVERAGED, tiny_overrides), workdir)
    train_phases(workspace)
    return Workspace(workspace.config, workdir)


@pytest.fixture
def copied(made: Workspace, tmp_path: Path) -> Workspace:
    workdir = Path(shutil.copytree(made.workdir, tmp_path / "workdir"))
    return Workspace(made.config, workdir)


def test_the_values_of_every_kind(made: Workspace) -> None:
    soup = {("anneal_a", 4): 0.5, ("anneal_b", 4): 0.5}
    assert_equal(params(made, "soup", 1), expected(made, soup))
    weighted = {("anneal_a", 4): 0.25, ("soup", 1): 0.75}
    assert_equal(params(made, "weighted", 1), expected(made, weighted))
    newest = {("trunk", 8): 1 / 3, ("trunk", 12): 1 / 3, ("trunk", 14): 1 / 3}
    assert_equal(params(made, "newest", 1), expected(made, newest))
    moving = {("trunk", step): w / 15 for step, w in ((4, 1), (8, 2), (12, 4), (14, 8))}
    assert_equal(params(made, "moving", 1), expected(made, moving))
    a, both = params(made, "anneal_a", 4), params(made, "soup", 1)
    assert any((a[leaf] != both[leaf]).any() for leaf in a)


def test_what_an_average_records(made: Workspace) -> None:
    run = made.run_dir("soup")
    ledger = json.loads((run / "ledger.json").read_text())
    assert ledger["step"] == 1
    a, b = (
        json.loads((made.run_dir(name) / "ledger.json").read_text())["sources"]
        for name in ("anneal_a", "anneal_b")
    )
    assert ledger["sources"]["code"]["rows"] == 0
    assert ledger["sources"]["code"]["ordinal"] == max(a["code"]["ordinal"], b["code"]["ordinal"])
    assert ledger["sources"]["text"]["path_rows"] == a["text"]["path_rows"]
    record = json.loads((run / "run.json").read_text())
    assert record["parent"] is None
    assert [(m["phase"], m["step"], m["weight"]) for m in record["members"]] == [
        ("anneal_a", 4, 0.5),
        ("anneal_b", 4, 0.5),
    ]
    [evaluation] = [json.loads(line) for line in (run / "evals.jsonl").read_text().splitlines()]
    assert (evaluation["step"], evaluation["evaluator"]) == (1, "validation")
    with open_leaves(run / "checkpoints" / "1") as leaves:
        assert {name.partition("/")[0] for name in leaves.shapes} == {"params"}


def test_a_phase_that_starts_from_an_average(made: Workspace) -> None:
    after = json.loads((made.run_dir("after") / "ledger.json").read_text())["sources"]
    soup = json.loads((made.run_dir("soup") / "ledger.json").read_text())["sources"]
    for source in ("text", "code"):
        assert after[source]["start_ordinal"] == soup[source]["ordinal"]
        assert after[source]["path_rows"] == soup[source]["path_rows"] + after[source]["rows"]


def test_a_rerun_changes_nothing(copied: Workspace) -> None:
    before = {p: p.stat().st_mtime_ns for p in Path(copied.workdir / "runs").rglob("*")}
    train_phases(copied)
    assert {p: p.stat().st_mtime_ns for p in Path(copied.workdir / "runs").rglob("*")} == before


def test_interrupted_before_its_ledger(copied: Workspace, capsys) -> None:
    run = Path(copied.run_dir("soup"))
    (run / "ledger.json").unlink()
    (run / "evals.jsonl").unlink()
    train_phases(copied, only=["soup"])
    assert "averaged already" in capsys.readouterr().out
    assert (run / "ledger.json").is_file()
    assert (run / "evals.jsonl").is_file()


def test_a_half_written_checkpoint_is_made_again(copied: Workspace, made: Workspace) -> None:
    run = Path(copied.run_dir("soup"))
    for name in ("ledger.json", "evals.jsonl", "checkpoints.jsonl"):
        (run / name).unlink()
    (run / "checkpoints" / "1" / "checkpoint.json").unlink()
    (run / "checkpoints" / "1" / "unfinished").touch()
    train_phases(copied, only=["soup"])
    assert_equal(params(copied, "soup", 1), params(made, "soup", 1))


def test_a_lost_average_is_named(copied: Workspace, made: Workspace) -> None:
    run = Path(copied.run_dir("soup"))
    shutil.rmtree(run / "checkpoints" / "1")
    (run / "evals.jsonl").unlink()
    with pytest.raises(DamageError, match="a saved checkpoint is missing"):
        train_phases(copied, only=["soup"])
    train_phases(copied, only=["soup"], retrain_lost=True)
    assert_equal(params(copied, "soup", 1), params(made, "soup", 1))


def test_a_member_that_was_not_kept_is_trained_again(
    copied: Workspace, made: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is reported is of the average: its one step, and nothing of those made again."""
    told: list[tuple[str, int]] = []
    reports = type(step_log.PROGRESS)
    for name in ("finish_step", "save"):
        monkeypatch.setattr(
            reports, name, lambda _, step, *rest, name=name: told.append((name, step))
        )
    monkeypatch.setattr(reports, "is_connected", True)
    monkeypatch.setattr(reports, "note", lambda _, facts: told.append((facts["phase"], 0)))
    shutil.rmtree(Path(copied.run_dir("newest")))
    trunk = Path(copied.run_dir("trunk"))
    shutil.rmtree(trunk / "checkpoints" / "8")
    journal = trunk / "checkpoints.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(line for line in lines if '"step": 8' not in line))
    train_phases(copied, only=["newest"])
    assert_equal(params(copied, "newest", 1), params(made, "newest", 1))
    assert told == [("save", 1), ("finish_step", 1)]


# Dies at the n-th call of a function.
KILLED = """
import importlib, os, signal, sys
from pathlib import Path
from codepretrain.config.load import load_study
from codepretrain.config.parse import to_dict
from codepretrain.study.run import train_phases
from codepretrain.study.workspace import Workspace
from codepretrain.train import step_log
config, workdir, module, name, number = sys.argv[1:]
module, calls = importlib.import_module(module), []
original = getattr(module, name)
def dies(*arguments, **named):
    calls.append(name)
    if len(calls) == int(number):
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments, **named)
setattr(module, name, dies)
train_phases(Workspace(load_study(config), Path(workdir)), only=["soup"])
"""


@pytest.mark.parametrize(
    ("module", "name", "number"),
    [
        ("train.weight_average", "_average_leaf", 4),
        ("checkpoint.record", "write_record", 1),  # before it is committed
        ("study.average_run", "write_json", 1),  # committed, without the ledger
    ],
)
def test_killed_at_any_moment(
    copied: Workspace, made: Workspace, tmp_path: Path, module: str, name: str, number: int
) -> None:
    run = Path(copied.run_dir("soup"))
    shutil.rmtree(run)
    config = tmp_path / "study.json"
    config.write_text(json.dumps(to_dict(copied.config)))
    arguments = [config, copied.workdir, f"codepretrain.{module}", name, str(number)]
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert not (run / "ledger.json").exists()
    train_phases(Workspace(copied.config, copied.workdir), only=["soup"])
    assert_equal(params(copied, "soup", 1), params(made, "soup", 1))
    kept, there = (
        json.loads((Path(w.run_dir("soup")) / "ledger.json").read_text()) for w in (copied, made)
    )
    assert kept == there


def test_the_checkpoint_of_another_phase_is_refused(copied: Workspace) -> None:
    shutil.rmtree(Path(copied.run_dir("soup")))
    of_a, of_b = (Path(copied.run_dir(n)) / "checkpoints" / "4" for n in ("anneal_a", "anneal_b"))
    shutil.rmtree(of_b)
    shutil.copytree(of_a, of_b)
    with pytest.raises(UserError, match="belongs to another phase"):
        train_phases(copied, only=["soup"])
    assert not (Path(copied.run_dir("soup")) / "checkpoints").exists()


def test_evaluate_at_its_end(copied: Workspace) -> None:
    evals = Path(copied.run_dir("newest")) / "evals.jsonl"
    before = evals.read_text()
    evals.unlink()
    evaluate_phases(copied, only=["newest"])
    values = [json.loads(text.splitlines()[0])["metrics"] for text in (before, evals.read_text())]
    assert values[0] == values[1]


def test_show_batch_refuses(made: Workspace) -> None:
    with pytest.raises(UserError, match="'soup' is an average of checkpoints, which reads no rows"):
        show_batch(made, phase_name="soup", step=0)
