"""epath goes through fsspec for object stores, whatever is installed."""

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from etils import epath

from codepretrain.files import storage
from codepretrain.files.atomic import write_bytes
from codepretrain.files.object_path import ObjectPath, split_scheme

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("scheme", ["gs", "s3", "memory"])
def test_paths_of_object_stores(scheme: str) -> None:
    path = epath.Path(f"{scheme}://bucket/a") / "b"
    assert isinstance(path, ObjectPath)
    assert os.fspath(path) == f"{scheme}://bucket/a/b"
    assert os.fspath(path.parent.parent) == f"{scheme}://bucket"
    assert os.fspath(pickle.loads(pickle.dumps(path))) == f"{scheme}://bucket/a/b"
    assert path.relative_to(f"{scheme}://bucket").as_posix() == "a/b"
    assert split_scheme(path) == (scheme, "bucket/a/b")


def test_tensorflow_is_not_asked() -> None:
    """With TensorFlow installed, or seeming so, and no word in the environment."""
    code = (
        "from etils.epath import gpath; gpath._is_tf_installed = lambda: True\n"
        "import codepretrain.files.storage, sys\n"
        "from etils import epath\n"
        "print(type(epath.Path('gs://bucket/x')._backend).__name__, 'tensorflow' in sys.modules)"
    )
    environment = {k: v for k, v in os.environ.items() if k != "EPATH_USE_TF"}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environment
    )
    assert result.stdout.split() == ["_ObjectStoreBackend", "False"], result.stderr


def test_epath_methods_give_whole_addresses(folder: epath.Path) -> None:
    write_bytes(folder / "a" / "b", b"1")
    write_bytes(folder / "c", b"22")
    assert sorted(map(os.fspath, folder.iterdir())) == [f"{folder}/a", f"{folder}/c"]
    assert [os.fspath(path) for path in folder.glob("c*")] == [f"{folder}/c"]
    walked = {os.fspath(top): sorted(files) for top, _, files in folder.walk()}
    assert walked == {f"{folder}": ["c"], f"{folder}/a": ["b"]}
    assert (folder / "c").stat().length == 2
    (folder / "new").mkdir(parents=True, exist_ok=True)
    with pytest.raises(FileExistsError):
        (folder / "a").mkdir()
    assert (folder / "c").read_text() == "22"
    (folder / "c").unlink()
    folder.rmtree()
    assert not folder.exists()


@pytest.mark.parametrize("kind", ["s3", "gcs"])
def test_what_another_process_wrote_is_seen_at_once(
    kind: str, request: pytest.FixtureRequest, start: Any
) -> None:
    folder = request.getfixturevalue(kind)
    write_bytes(folder / "a", b"1")
    assert storage.names(folder) == ["a"]
    assert [path.name for path in folder.iterdir()] == ["a"]
    code = "import sys; from codepretrain.files import atomic; "
    process = start(code + "atomic.write_bytes(sys.argv[1] + '/b', b'22')", folder)
    assert process.wait() == 0
    assert storage.names(folder) == ["a", "b"]
    assert [path.name for path in folder.iterdir()] == ["a", "b"]
    assert storage.size(folder / "b") == 2
