"""Checkpoints on every kind of storage: our part alone on each, and whole ones on Google's."""

import json
import os
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from etils import epath

from codepretrain.checkpoint import manager, whole
from codepretrain.checkpoint.history import history_path, last_events
from codepretrain.checkpoint.manager import Checkpoints
from codepretrain.checkpoint.policy import CheckpointPolicy
from codepretrain.config.schema import CheckpointConfig
from codepretrain.files import storage
from codepretrain.files.atomic import write_bytes
from tests.files.conftest import folder  # noqa: F401


class JsonWriting:
    """Writes a state of one number as Orbax would: a file of the process, then an index."""

    def __init__(self, path: epath.Path, state: int) -> None:
        self.path, self.state = path, state

    def wait(self) -> None:
        content = json.dumps(self.state).encode()
        write_bytes(self.path / "ocdbt.process_0" / "d" / "5f3a", content)
        write_bytes(self.path / "array_metadatas" / "process_0", b"{}")

    def merge(self) -> None:
        write_bytes(self.path / "manifest.ocdbt", b"5f3a")


def read_json_state(path: epath.Path, abstract_state: None, **_: Any) -> int:
    return json.loads(storage.read_text(path / "ocdbt.process_0" / "d" / "5f3a"))


def opened(directory: epath.Path, *permanent_steps: int) -> Checkpoints:
    return Checkpoints(directory, CheckpointPolicy(CheckpointConfig(), frozenset(permanent_steps)))


def test_our_part_on_every_storage(
    folder: epath.Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(manager, "Writing", JsonWriting)
    monkeypatch.setattr(whole, "read_arrays", read_json_state)
    to = opened(folder / "checkpoints", 2)
    for step in range(1, 6):
        to.save(step, step * 11, ledger={"step": step}, identity={"phase": "trunk"})
    to.close()
    assert to.steps() == [2, 4, 5]
    assert storage.names(folder / "checkpoints") == ["2", "4", "5"]
    assert last_events(history_path(folder / "checkpoints")) == {
        1: "deleted",
        2: "committed",
        3: "deleted",
        4: "committed",
        5: "committed",
    }
    restored = to.restore(None)
    assert (restored.step, restored.state, restored.ledger) == (5, 55, {"step": 5})
    write_bytes(to.path(5) / "state" / "manifest.ocdbt", b"5f3b")
    storage.remove(to.path(4) / "state" / "ocdbt.process_0" / "d" / "5f3a")
    again = opened(folder / "checkpoints", 2)
    restored = again.restore(None)
    assert (restored.step, restored.state) == (2, 22)
    assert restored.damaged == {
        5: f"{to.path(5)}: state/manifest.ocdbt differs from what was written",
        4: f"{to.path(4)}: state/ocdbt.process_0/d/5f3a is missing",
    }
    assert os.fspath(to.path(5)).startswith(os.fspath(folder))
    again.save(5, 555, ledger={}, identity={})
    again.close()
    assert again.restore(None).state == 555
    storage.remove_tree(folder / "checkpoints")
    assert again.lost_steps(again.restore(None), up_to=9) == [2, 4, 5]


def test_whole_checkpoints_on_google_cloud_storage(gcs: epath.Path) -> None:
    state = {"x": jnp.arange(1000, dtype=jnp.float32), "step": jnp.int32(7)}
    to = opened(gcs / "checkpoints")
    for step in (1, 2, 3):
        to.save(step, state, ledger={"step": step}, identity={})
    to.close()
    assert to.steps() == [2, 3]
    restored = to.restore(jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), state))
    assert (restored.step, int(restored.state["step"])) == (3, 7)
    assert (restored.state["x"] == state["x"]).all()
