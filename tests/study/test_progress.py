"""What is left of a phase, told by the files of its run, on a file system and in memory."""

import shutil
from pathlib import Path

import pytest
from etils import epath

from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError
from codepretrain.evals.identity import identity_digest
from codepretrain.evals.item_scores import ItemScores, write_item_scores
from codepretrain.files import atomic, journal
from codepretrain.study.evaluations import kept_identities
from codepretrain.study.progress import progress
from codepretrain.study.workspace import Workspace
from tests.configs import small_study


@pytest.fixture(params=["local", "memory"])
def workdir(request: pytest.FixtureRequest, tmp_path: Path) -> epath.Path:
    if request.param == "local":
        return epath.Path(tmp_path)
    return epath.Path(f"memory://bucket/{tmp_path.name}")


LOSS = {"loss": "a"}  # the evaluator's digest
NO_ITEMS = ItemScores([], {}, (), [])


def write(workspace: Workspace, *, step: int, evaluated: list[tuple[str, str, int]]) -> None:
    run_dir = workspace.run_dir("anneal")
    atomic.write_json(run_dir / "ledger.json", {"step": step})
    with journal.Journal(run_dir / "evals.jsonl") as records:
        for evaluator, digest, at in evaluated:
            record = {"evaluator": evaluator, "digest": digest, "step": at}
            items = write_item_scores(run_dir, evaluator, at, digest, NO_ITEMS)
            records.append({**record, "identity": {}, "metrics": {}, "items": items})


def test_a_phase_is_trained_at_its_end_with_every_evaluation(workdir: epath.Path) -> None:
    workspace = Workspace(small_study(), workdir)
    assert progress(workspace, "anneal", LOSS) == "to train"
    write(workspace, step=4, evaluated=[("loss", "a", 4)])
    assert progress(workspace, "anneal", LOSS) == "to train"
    write(workspace, step=10, evaluated=[])
    assert progress(workspace, "anneal", LOSS) == "to train"  # evaluated at 4, and no checkpoint
    write(workspace, step=10, evaluated=[("loss", "a", 10), ("other", "c", 10)])
    assert progress(workspace, "anneal", LOSS) == "trained"
    assert progress(workspace, "anneal", LOSS | {"second": "b"}) == "to train"


def test_a_result_of_another_identity_is_none(workdir: epath.Path) -> None:
    """Such as of other items, before a change of the study or by another study."""
    workspace = Workspace(small_study(), workdir)
    write(workspace, step=10, evaluated=[("loss", "b", 10), ("other", "a", 10)])
    assert progress(workspace, "anneal", LOSS) == "to train"
    write(workspace, step=10, evaluated=[("loss", "a", 10), ("loss", "b", 10)])
    assert progress(workspace, "anneal", LOSS) == "trained"


def test_a_failed_evaluation_is_tried_again(workdir: epath.Path) -> None:
    workspace = Workspace(small_study(), workdir)
    write(workspace, step=10, evaluated=[])
    failure = {"evaluator": "loss", "digest": "a", "step": 10, "identity": {}, "metrics": {}}
    with journal.Journal(workspace.run_dir("anneal") / "evals.jsonl") as records:
        records.append({**failure, "failure": "no disk"})
    assert progress(workspace, "anneal", LOSS) == "to train"


def test_trained_to_evaluate_to_train(trained_copy, config: StudyConfig) -> None:
    workspace = Workspace(config, trained_copy)
    digests = {name: identity_digest(i) for name, i in kept_identities(workspace).items()}
    assert [progress(workspace, name, digests) for name in workspace.phases] == [
        "trained",
        "trained",
        "to train",
    ]
    assert progress(workspace, "trunk", digests | {"later": "a"}) == "to evaluate"
    shutil.rmtree(workspace.run_dir("trunk") / "checkpoints" / "40")
    assert progress(workspace, "trunk", digests | {"later": "a"}) == "to train"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("ledger.json", "{}", 'expected a whole number in "step", found None'),
        ("ledger.json", '{"step": "10"}', "expected a whole number in \"step\", found '10'"),
        ("evals.jsonl", '{"evaluator": "validation"}\n', "line 1 is damaged .*'step'"),
    ],
)
def test_a_damaged_record_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    workspace = Workspace(small_study(), epath.Path(tmp_path))
    write(workspace, step=10, evaluated=[])
    (workspace.run_dir("anneal") / name).write_text(text)
    with pytest.raises(UserError, match=f"{name}.* {message}|{name} {message}"):
        progress(workspace, "anneal", LOSS)
