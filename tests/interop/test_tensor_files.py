"""Safetensors in one file or in shards, local or from an object store."""

import json
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from safetensors.numpy import load_file

from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.files.atomic import write_bytes
from codepretrain.interop.export import ExportOptions
from codepretrain.interop.tensor_files import TensorFiles, plan_shards, write_tensors


@pytest.mark.parametrize(
    ("max_bytes", "shards"),
    [
        (100, [["a", "b", "c"]]),
        (9, [["a", "b"], ["c"]]),
        (8, [["a"], ["b"], ["c"]]),
        (1, [["a"], ["b"], ["c"]]),
    ],
)
def test_shards_are_filled_in_order(max_bytes: int, shards: list[list[str]]) -> None:
    planned = plan_shards({"a": 4, "b": 5, "c": 6}, max_bytes=max_bytes)
    assert list(planned.values()) == shards
    assert all(name.endswith(".safetensors") for name in planned)


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("codepretrain.interop.tensor_files.save_file", refuse)
    with pytest.raises(UserError, match=r"cannot write .*model\.safetensors: No space left"):
        write_tensors(
            tmp_path,
            [("a", np.zeros(2, np.float32))],
            shards={"model.safetensors": ["a"]},
            total_bytes=8,
        )


def test_tensors_of_an_object_store(exported: Any, tmp_path: Path) -> None:
    local, _ = exported(options=ExportOptions(max_shard_bytes=20_000))
    fsspec.filesystem("memory").store.clear()
    remote = storage.parse("memory://bucket/model")
    for path in local.iterdir():
        write_bytes(remote / path.name, path.read_bytes())
    with TensorFiles(local) as expected, TensorFiles(remote) as found:
        assert found.shapes() == expected.shapes()
        for name in expected.names:
            np.testing.assert_array_equal(found.read(name), expected.read(name))
    fsspec.filesystem("memory").store.clear()
    with pytest.raises(UserError, match="memory://bucket/model holds neither"):
        TensorFiles(remote)


def test_shards_hold_every_tensor_once_and_stay_below_the_limit(exported: Any) -> None:
    whole, _ = exported()
    cut, _ = exported(options=ExportOptions(max_shard_bytes=20_000), name="cut")
    index = json.loads((cut / "model.safetensors.index.json").read_text())
    shards = {path.name: load_file(path) for path in cut.glob("*.safetensors")}
    assert len(shards) > 3
    together = {name: value for shard in shards.values() for name, value in shard.items()}
    expected = load_file(whole / "model.safetensors")
    assert index["weight_map"] == {n: f for f, shard in shards.items() for n in shard}
    assert index["metadata"]["total_size"] == sum(v.nbytes for v in expected.values())
    assert together.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(together[name], value)
    for shard in shards.values():
        assert len(shard) == 1 or sum(v.nbytes for v in shard.values()) <= 20_000
    first, again = (f / "codepretrain.json" for f in (whole, cut))
    assert first.read_text() == again.read_text()
