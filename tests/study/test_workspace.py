"""Where runs are, when they are complete, and what of them is kept: no data, no devices."""

import dataclasses
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from etils import epath

from codepretrain.config.schema import EvaluatorConfig, PhaseConfig, StudyConfig
from codepretrain.errors import UserError
from codepretrain.evals.item_scores import ItemScores, write_item_scores
from codepretrain.files import atomic, journal
from codepretrain.study.graph import resolve
from codepretrain.study.progress import progress
from codepretrain.study.workspace import Workspace, normalized_mixture
from tests.configs import CONSTANT, STEP_TOKENS, small_study
from tests.fixtures.sources import write_source

EVALS = {"validation": EvaluatorConfig(kind="validation_loss")}


def study(trunk_steps: int = 10, **changes: Any) -> StudyConfig:
    trunk = PhaseConfig(
        tokens=trunk_steps * STEP_TOKENS, mixture={"text": 3, "code": 1}, schedule=CONSTANT
    )
    branch = dataclasses.replace(
        trunk, tokens=10 * STEP_TOKENS, parent="trunk", parent_tokens=4 * STEP_TOKENS
    )
    again = dataclasses.replace(branch)
    config = small_study({"trunk": trunk, "branch": branch, "again": again})
    return dataclasses.replace(config, evals=EVALS, **changes)


def finish(workspace: Workspace, name: str, *, step: int, evaluated: list[tuple[str, int]]) -> None:
    run_dir = workspace.run_dir(name)
    atomic.write_json(run_dir / "ledger.json", {"step": step})
    with journal.Journal(run_dir / "evals.jsonl") as records:
        for evaluator, at in evaluated:
            record = {"evaluator": evaluator, "digest": "a", "step": at}
            items = write_item_scores(run_dir, evaluator, at, "a", ItemScores([], {}, (), []))
            records.append({**record, "identity": {}, "metrics": {}, "items": items})


@pytest.fixture(params=["local", "memory"])
def workdir(request: pytest.FixtureRequest, tmp_path: Path) -> epath.Path:
    if request.param == "local":
        return epath.Path(tmp_path)
    return epath.Path(f"memory://bucket/{tmp_path.name}")


def test_a_run_is_found_by_its_fingerprint_under_any_name(workdir: epath.Path) -> None:
    workspace = Workspace(study(), workdir)
    expected = f"branch-{workspace.fingerprint('branch')[:12]}"
    assert workspace.run_dir("branch") == workdir / "runs" / expected
    finish(workspace, "branch", step=10, evaluated=[])
    assert workspace.run_dir("again") == workdir / "runs" / expected


def study_with(**changes: Any) -> StudyConfig:
    return dataclasses.replace(study(), **changes)


def test_an_extended_trunk_leaves_its_branches_complete(tmp_path: Path) -> None:
    short, long = (Workspace(study(n), epath.Path(tmp_path)) for n in (10, 20))
    for name in ("trunk", "branch"):
        finish(short, name, step=10, evaluated=[("validation", 10)])
    assert long.run_dir("branch") == short.run_dir("branch")
    assert long.run_dir("trunk") != short.run_dir("trunk")
    assert progress(long, "branch", {"validation": "a"}) == "trained"
    assert progress(long, "trunk", {"validation": "a"}) == "to train"


def test_a_copy_of_a_run_beside_it_is_refused(tmp_path: Path) -> None:
    """Either could be meant: a copy that is older, or the one that was trained on."""
    workspace = Workspace(study(), epath.Path(tmp_path))
    finish(workspace, "trunk", step=10, evaluated=[])
    run_dir = workspace.run_dir("trunk")
    atomic.write_json(run_dir.parent / f"backup-{run_dir.name}" / "ledger.json", {"step": 4})
    with pytest.raises(
        UserError, match=f"runs has several folders of one run: backup-{run_dir.name}"
    ):
        workspace.run_dir("trunk")


def test_a_folder_that_holds_another_run_is_refused(tmp_path: Path) -> None:
    workspace = Workspace(study(), epath.Path(tmp_path))
    run_dir = workspace.run_dir("trunk")
    atomic.write_json(run_dir / "run.json", {"fingerprint": workspace.fingerprint("trunk")})
    assert workspace.run_dir("trunk") == run_dir
    atomic.write_json(run_dir / "run.json", {"fingerprint": workspace.fingerprint("branch")})
    with pytest.raises(UserError, match=r"trunk-\w+ holds the run of another phase: run.json has"):
        workspace.run_dir("trunk")


def test_steps_that_are_kept(tmp_path: Path) -> None:
    def kept(workspace: Workspace, name: str) -> set[int]:
        policy = workspace.checkpoint_policy(name)
        return {step for step in range(1, 11) if policy.is_permanent(step)}

    workspace = Workspace(study(), epath.Path(tmp_path))
    assert kept(workspace, "trunk") == {4, 10}
    assert kept(workspace, "branch") == {10}
    checkpoint = dataclasses.replace(study().checkpoint, permanent_interval_steps=3)
    every_third = Workspace(study_with(checkpoint=checkpoint), epath.Path(tmp_path))
    assert kept(every_third, "trunk") == {3, 4, 6, 9, 10}


def test_digests_chain_along_the_path_and_are_computed_once(
    tmp_path: Path, make_source: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(study(), epath.Path(tmp_path))
    stores = {source: make_source(source, 20) for source in ("code", "text")}
    workspace.__dict__["stores"] = stores  # prepared rows without preparing a study
    assert workspace.parent_digest("trunk") == ""
    found = workspace.parent_digest("branch")
    assert len(found) == 64
    assert workspace.row_order("branch").start_ordinals == {"code": 4, "text": 12}

    def fail(*_: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr("codepretrain.study.workspace.LedgerKeeper", fail)
    assert workspace.parent_digest("again") == found


def test_rows_of_an_object_store_are_copied_up_to_the_configured_size(
    memory: epath.Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("codepretrain.study.workspace.require_prepared", lambda *_: {})
    execution = dataclasses.replace(study().execution, row_cache_bytes=100)
    workspace = Workspace(study_with(execution=execution), memory)
    for source in ("code", "text"):
        write_source(workspace.data_dir, source, 10)
    message = r"may hold 100 bytes, .* more are needed: raise config.execution.row_cache_bytes"
    with pytest.raises(UserError, match=message):
        _ = workspace.stores


def test_normalized_mixture() -> None:
    [stretch] = normalized_mixture(resolve(study())["trunk"])
    assert stretch == {"start_tokens": 0, "weights": {"text": 0.75, "code": 0.25}}
    assert json.dumps(stretch)
