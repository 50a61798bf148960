"""Folders to work in are removed, but never while their maker is at work."""

from pathlib import Path
from typing import Any

import pytest

from codepretrain.files.scratch import scratch_folder

_MAKE = """
import sys, time
from pathlib import Path
from codepretrain.files.scratch import scratch_folder
with scratch_folder(Path(sys.argv[1]), "rows") as folder:
    (folder / "file").write_text("x")
    print(folder.name, flush=True)
    time.sleep(100)
"""


def test_is_removed_in_the_end(tmp_path: Path) -> None:
    with scratch_folder(tmp_path / "x", "rows") as folder:
        (folder / "file").touch()
    assert list((tmp_path / "x").iterdir()) == []
    with pytest.raises(KeyError), scratch_folder(tmp_path / "x", "rows"):
        raise KeyError
    assert list((tmp_path / "x").iterdir()) == []


def test_only_an_abandoned_one_is_removed(tmp_path: Path, start: Any) -> None:
    process = start(_MAKE, tmp_path)
    name = process.stdout.readline().strip()
    with scratch_folder(tmp_path, "rows"), scratch_folder(tmp_path, "rows-2"):
        assert (tmp_path / name / "file").exists()
        assert len(list(tmp_path.iterdir())) == 3
    process.kill()
    process.wait()
    with scratch_folder(tmp_path, "row"):
        assert (tmp_path / name / "file").exists()
    with scratch_folder(tmp_path, "rows"):
        assert not (tmp_path / name).exists()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["n" * 255, "é" * 127], ids=["ascii", "unicode"])
def test_the_longest_names_are_shortened(name: str, tmp_path: Path) -> None:
    with scratch_folder(tmp_path, name) as folder:
        (folder / "file").touch()
    assert list(tmp_path.iterdir()) == []
