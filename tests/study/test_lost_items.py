"""Item scores that were deleted, truncated or altered are evaluated again, and nothing else is."""

import dataclasses
import json
import shutil
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from etils import epath

from codepretrain.config.schema import EvaluatorConfig, StudyConfig
from codepretrain.evals.identity import identity_digest
from codepretrain.evals.item_scores import ItemScores, item_damage, write_item_scores
from codepretrain.files import atomic, journal, storage
from codepretrain.metrics.evaluation_records import lost_results, results_at
from codepretrain.metrics.item_files import item_file
from codepretrain.study.evaluations import kept_identities
from codepretrain.study.progress import progress
from codepretrain.study.report import report_study
from codepretrain.study.run import evaluate_phases, train_phases
from codepretrain.study.workspace import Workspace
from tests.conftest import TINY
from tests.fixtures.item_records import drop_marks
from tests.fixtures.processes import RunJob

STEP = 40
DIGEST = "d" * 64
ITEMS = ItemScores(
    ["a", "b"], {"loss": np.array([0.5, 1.5])}, [{"id": "a"}, {"id": "b"}], ["a"] * 2
)


@pytest.fixture
def study(config: StudyConfig, trained_copy: Path) -> Workspace:
    """The tiny study with two evaluations, whose trunk is trained and evaluated by both."""
    text = EvaluatorConfig(kind="validation_loss", num_examples=3, options={"sources": "text"})
    config = dataclasses.replace(config, evals={**config.evals, "text": text})
    workspace = Workspace(config, trained_copy)
    evaluate_phases(workspace, only=["trunk"])
    return workspace


def digests(workspace: Workspace) -> dict[str, str]:
    return {name: identity_digest(of) for name, of in kept_identities(workspace).items()}


def scores(workspace: Workspace, evaluator: str, suffix: str = ".npz") -> Path:
    run = workspace.run_dir("trunk")
    return Path(item_file(run, evaluator, STEP, digests(workspace)[evaluator], suffix))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "items").iterdir()}


def altered(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


DAMAGE: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "missing scores": (".npz", Path.unlink, "is missing"),
    "missing records": (".jsonl", Path.unlink, "is missing"),
    "torn scores": (".npz", torn, "is damaged: expected "),
    "torn records": (".jsonl", torn, "is damaged: expected "),
    "altered scores": (".npz", altered, "was altered: its hash is not that of the record"),
    "altered records": (".jsonl", altered, "was altered: its hash is not that of the record"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_what_is_lost_is_evaluated_again(
    study: Workspace, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(study.run_dir("trunk"))
    before, records = contents(run), (run / "evals.jsonl").read_bytes()
    suffix, damage, reason = DAMAGE[case]
    path = scores(study, "text", suffix)
    damage(path)
    capsys.readouterr()
    evaluate_phases(study, only=["trunk"])
    output = capsys.readouterr().out
    assert f"trunk: evaluating text of step 40 again: {path} {reason}" in output
    assert "evaluating validation" not in output
    assert contents(run) == before
    assert (run / "evals.jsonl").read_bytes() == records  # the same result: no second record
    evaluate_phases(study, only=["trunk"])
    assert "every evaluation of step 40 is recorded already" in capsys.readouterr().out


@pytest.mark.parametrize("case", ["missing records", "torn scores", "torn records"])
def test_of_records_without_hashes_too(
    study: Workspace, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(study.run_dir("trunk"))
    drop_marks(run)
    evaluate_phases(study, only=["trunk"])
    assert "every evaluation of step 40 is recorded already" in capsys.readouterr().out
    before = contents(run)
    suffix, damage, _ = DAMAGE[case]
    path = scores(study, "text", suffix)
    damage(path)
    evaluate_phases(study, only=["trunk"])
    assert f"trunk: evaluating text of step 40 again: {path} is" in capsys.readouterr().out
    assert contents(run) == before
    last = json.loads((run / "evals.jsonl").read_text().splitlines()[-1])
    assert (last["evaluator"], last["items"][".npz"]["bytes"]) == (
        "text",
        scores(study, "text").stat().st_size,
    )


def test_a_start_of_training_evaluates_the_lost_scores_of_the_end(
    study: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """By their sizes alone: a start reads no item file."""
    run = Path(study.run_dir("trunk"))
    before = contents(run)
    scores(study, "text").unlink()
    assert progress(study, "trunk", digests(study)) == "to evaluate"
    train_phases(study, only=["trunk"], command_line="a test")
    assert "trunk: evaluating text of step 40 again:" in capsys.readouterr().out
    assert contents(run) == before
    altered(scores(study, "text"))
    assert progress(study, "trunk", digests(study)) == "trained"


def test_without_a_checkpoint_a_phase_stays_trained(
    study: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(study.run_dir("trunk"))
    scores(study, "text").unlink()
    shutil.rmtree(run / "checkpoints" / "40")
    metrics = (run / "metrics.jsonl").read_bytes()
    assert progress(study, "trunk", digests(study)) == "scores lost"
    train_phases(study, only=["trunk"], command_line="a test")
    output = capsys.readouterr().out
    assert "item scores of its evaluations are lost; its checkpoint of step 40 is gone:" in output
    assert (run / "metrics.jsonl").read_bytes() == metrics
    train_phases(study, only=["trunk"], command_line="a test", retrain_lost=True)
    assert progress(study, "trunk", digests(study)) == "trained"
    assert scores(study, "text").exists()


def test_scores_that_evaluate_watch_lost_are_made_by_either_job(
    study: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(study.run_dir("trunk"))
    (run / "evals.jsonl").write_text("")
    shutil.rmtree(run / "items")
    watched = ["trunk"]
    evaluate_phases(study, only=watched, watch_poll_s=0.1)
    before = contents(run / "watch")
    Path(item_file(run / "watch", "text", STEP, digests(study)["text"])).unlink()
    evaluate_phases(study, only=watched, watch_poll_s=0.1)
    assert contents(run / "watch") == before
    Path(item_file(run / "watch", "text", STEP, digests(study)["text"])).unlink()
    evaluate_phases(study, only=watched)
    assert [path.suffix for path in sorted((run / "items").iterdir())] == [".jsonl", ".npz"]

    scores(study, "text").unlink()  # the run's own, which only the job that holds it makes
    capsys.readouterr()
    evaluate_phases(study, only=watched, watch_poll_s=0.1)
    assert "again" not in capsys.readouterr().out
    evaluate_phases(study, only=watched)
    assert scores(study, "text").exists()


def test_two_processes_of_which_one_sees_no_item_files(
    study: Workspace, config: StudyConfig, run_job: RunJob, tiny_overrides: list[str]
) -> None:
    """Process 0 decides: process 1 would evaluate everything again, and wait there for ever."""
    run = Path(study.run_dir("trunk"))
    before = contents(run)
    del before[scores(study, "text").name]
    scores(study, "text").unlink()
    script = """
    import dataclasses, os
    from pathlib import Path
    from codepretrain.config.load import load_study
    from codepretrain.config.schema import EvaluatorConfig
    from codepretrain.study.run import evaluate_phases
    from codepretrain.study.workspace import Workspace

    workdir, config = Path(arguments[0]), load_study(Path(arguments[1]), arguments[2:])
    text = EvaluatorConfig(kind="validation_loss", num_examples=3, options={"sources": "text"})
    config = dataclasses.replace(config, evals={**config.evals, "text": text})
    if process == 1:
        stat = os.stat
        def hidden(path, *a, **k):
            if str(path).endswith(".npz"):
                raise FileNotFoundError(path)
            return stat(path, *a, **k)
        os.stat = hidden
    evaluate_phases(Workspace(config, workdir), only=["trunk"])
    """
    workdir = Path(study.workdir)
    ended = run_job(textwrap.dedent(script), workdir, TINY, *tiny_overrides, timeout_s=300)
    for one in ended:
        assert one.returncode == 0, one.stderr
    assert "trunk: evaluating text of step 40 again:" in ended[0].stdout
    assert "evaluating validation" not in ended[0].stdout
    found = contents(run)
    del found[scores(study, "text").name]
    assert {name: of for name, of in found.items() if "validation" in name} == {
        name: of for name, of in before.items() if "validation" in name
    }
    assert item_damage(run, results_at(run, STEP)["text", digests(study)["text"]][1]) == ""


def test_in_an_object_store(memory: epath.Path) -> None:
    marks = write_item_scores(memory, "loss", STEP, DIGEST, ITEMS)
    record = {"evaluator": "loss", "digest": DIGEST, "step": STEP, "identity": {}, "metrics": {}}
    with journal.Journal(memory / "evals.jsonl") as records:
        records.append({**record, "items": marks})
    assert lost_results(results_at(memory, STEP)) == {}
    assert item_damage(memory, {**record, "items": marks}) == ""
    path = item_file(memory, "loss", STEP, DIGEST)
    whole = storage.read_bytes(path)
    atomic.write_bytes(path, whole[:-1] + b"x")
    assert lost_results(results_at(memory, STEP)) == {}
    assert "was altered" in item_damage(memory, {**record, "items": marks})
    atomic.write_bytes(path, whole[:-1])
    [lost] = lost_results(results_at(memory, STEP)).values()
    assert lost == f"{path} is damaged: expected {len(whole):,} bytes, found {len(whole) - 1:,}"
    storage.remove(path)
    assert lost_results(results_at(memory, STEP)) == {("loss", DIGEST): f"{path} is missing"}
    assert item_damage(memory, {**record, "items": marks}) == f"{path} is missing"


def test_the_report_names_what_mends_it(
    study: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate_phases(study, only=["branch"])
    config = dataclasses.replace(study.config, variants={"trunk": "trunk", "branch": "branch"})
    study = Workspace(dataclasses.replace(config, baseline="trunk"), study.workdir)
    report_study(study, command_line="codepretrain report --config 'a b.py' --workdir w")
    assert "problem" not in capsys.readouterr().out
    for damage, reason in (
        (altered, "was altered: its hash is not that of the record"),
        (Path.unlink, "is missing"),
    ):
        path = scores(study, "text")
        damage(path)
        page = report_study(
            study, command_line="codepretrain report --config 'a b.py' --workdir w", has_items=False
        )
        line = (
            f"trunk: the item scores of text at step 40 are lost and are in no comparison: {path} "
            f"{reason}; run `codepretrain evaluate --phase trunk --config 'a b.py' --workdir w`"
        )
        assert f"problem: {line}" in capsys.readouterr().out.splitlines()
        numbers = json.loads((page.parent / "results.json").read_text())
        assert numbers["problems"] == [line]
    evaluate_phases(study, only=["trunk"])
    capsys.readouterr()
    report_study(study, command_line="a test", has_items=True)
    output = capsys.readouterr().out
    assert "problem" not in output
    folder = page.parent / "items"
    assert f"item scores: {folder}/text.csv\nitem scores: {folder}/validation.csv\n" in output
