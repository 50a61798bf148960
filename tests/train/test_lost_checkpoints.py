"""Where a run may resume; tests/study/test_run.py has whole commands."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from codepretrain.checkpoint.manager import Checkpoints
from codepretrain.checkpoint.policy import CheckpointPolicy
from codepretrain.config.schema import CheckpointConfig
from codepretrain.errors import UserError
from codepretrain.files import journal
from codepretrain.train.lost_checkpoints import settle_lost

STATE = {"x": jax.ShapeDtypeStruct((3,), jnp.float32)}


def saved(run: Path, *steps: int) -> Checkpoints:
    to = Checkpoints(run / "checkpoints", CheckpointPolicy(CheckpointConfig(), frozenset(steps)))
    for step in steps:
        to.save(step, {"x": jnp.zeros(3)}, ledger={}, identity={})
    to.close()
    return to


def settle(to: Checkpoints, run: Path, **options: bool) -> list[str]:
    options = {"retrain": False, "replaces_records": True, **options}
    return settle_lost(to, to.restore(STATE), run_dir=run, up_to=9, **options)


def test_an_ordinary_crash_changes_nothing(tmp_path: Path) -> None:
    to = saved(tmp_path, 3)
    (tmp_path / "metrics.jsonl").write_text('{"step": 5}\n')
    (tmp_path / "ledger.json").write_text('{"step": 3}')
    assert settle(to, tmp_path) == []
    assert (tmp_path / "ledger.json").exists()


def test_a_lost_checkpoint_by_the_journal_and_by_the_ledger(tmp_path: Path) -> None:
    to = saved(tmp_path, 3, 6)
    to.path(6).rmtree()
    with pytest.raises(UserError, match=r"\(step 6\)\. Restore .* train again from step 3"):
        settle(to, tmp_path)
    (tmp_path / "checkpoints.jsonl").unlink()
    assert settle(to, tmp_path) == []
    (tmp_path / "ledger.json").write_text(json.dumps({"step": 6}))
    with pytest.raises(UserError, match=r"a saved checkpoint is missing \(step 6\)"):
        settle(to, tmp_path)
    assert (tmp_path / "ledger.json").exists()

    [line] = settle(to, tmp_path, retrain=True)
    assert line.startswith("training again from step 3 without the lost checkpoints")
    assert not (tmp_path / "ledger.json").exists()
    [old] = journal.read(tmp_path / "ledger.cut.jsonl")
    assert (old["resumed_step"], old["record"]) == (3, {"step": 6})
    to.close()
    assert settle(to, tmp_path) == []  # killed and started again, without the flag


def test_a_remade_branch_point_leaves_the_ledger(tmp_path: Path) -> None:
    to = saved(tmp_path, 3, 6)
    to.path(6).rmtree()
    (tmp_path / "ledger.json").write_text(json.dumps({"step": 6}))
    assert settle(to, tmp_path, retrain=True, replaces_records=False)
    assert (tmp_path / "ledger.json").exists()
    to.close()


def test_no_whole_checkpoint_is_left(tmp_path: Path) -> None:
    to = saved(tmp_path, 3)
    (tmp_path / "checkpoints" / "3" / "state" / "_METADATA").unlink()
    with pytest.raises(UserError, match=r"no whole checkpoint is left \(step 3\)"):
        settle(to, tmp_path)
    damaged, again = settle(to, tmp_path, retrain=True)
    assert "state/_METADATA is missing" in damaged
    assert "training again from step 0" in again
    to.close()
