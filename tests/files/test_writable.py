"""Folders that can be written, and those that cannot: each named with the reason."""

from pathlib import Path

import pytest
from etils import epath

from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.files.object_path import split_scheme
from codepretrain.files.writable import check_writable


def test_a_folder_that_can_be_written(folder: epath.Path) -> None:
    check_writable(folder)
    assert storage.names(folder) == []


def test_a_folder_is_not_made_by_the_check(tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b")
    assert not list(tmp_path.iterdir())


def test_folders_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path, reason in [
        (str(tmp_path / "loop" / "x"), "symbolic links form a loop"),
        (str(tmp_path / "loop"), "one of its parents is a file"),
        ("/proc/nope", "No such file or directory"),
        (str(tmp_path / "file"), "one of its parents is a file"),
        (str(tmp_path / "file" / "x"), "one of its parents is a file"),
        (str(tmp_path / ("x" * 300)), "choose a shorter path"),
    ]:
        with pytest.raises(UserError, match=f"cannot write to --workdir {path[:50]}") as error:
            check_writable(storage.parse(path), name="--workdir")
        assert reason in str(error.value)


@pytest.mark.parametrize("kind", ["s3", "gcs"])
def test_a_bucket_that_does_not_exist(kind: str, request: pytest.FixtureRequest) -> None:
    scheme = split_scheme(request.getfixturevalue(kind))[0]
    path = storage.parse(f"{scheme}://no-such-bucket-here/x")
    with pytest.raises(UserError, match=f"cannot write to --workdir {scheme}://no-such-bucket"):
        check_writable(path, name="--workdir")
    with pytest.raises(UserError):
        storage.read_bytes(path)
