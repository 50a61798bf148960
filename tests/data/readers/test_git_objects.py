from pathlib import Path

import pytest

from codepretrain.data.readers.git_objects import (
    BROKEN,
    ObjectError,
    Objects,
    git_directory,
    git_output,
)
from tests.data.readers.repositories import Repository


@pytest.mark.parametrize("hash_name", ["sha1", "sha256"])
def test_objects_are_read_and_checked(tmp_path: Path, hash_name: str) -> None:
    repository = Repository(tmp_path / "code", f"--object-format={hash_name}")
    repository.commit("Begin", {"a": "one\n", "b": "two\n", "empty": ""})
    names = {
        name: repository.git("rev-parse", f"HEAD:{name}").strip() for name in ("a", "b", "empty")
    }
    with Objects(f"{tmp_path}/code/.git") as objects:
        assert objects.read(names["a"], "blob") == b"one\n"
        assert objects.read(names["empty"], "blob") == b""
        for name, kind in ((names["a"], "tree"), ("0" * len(names["a"]), "blob"), ("x", "blob")):
            with pytest.raises(ObjectError, match=BROKEN):
                objects.read(name, kind)
        repository.damage("HEAD:a")
        for _ in range(2):
            with pytest.raises(ObjectError, match=BROKEN):
                objects.read(names["a"], "blob")
        assert objects.read(names["b"], "blob") == b"two\n"


def test_where_a_repository_is(tmp_path: Path) -> None:
    Repository(tmp_path / "code")
    assert git_directory(str(tmp_path / "code")) == f"{tmp_path}/code/.git"
    assert git_directory(f"{tmp_path}/code/.git") == f"{tmp_path}/code/.git"
    assert git_directory(str(tmp_path)) is None


def test_the_output_of_a_command_that_fails(tmp_path: Path) -> None:
    Repository(tmp_path / "code")
    directory = f"{tmp_path}/code/.git"
    assert git_output(directory, ["config", "--get", "core.bare"]) == "false"
    assert git_output(directory, ["rev-parse", "--verify", "--quiet", "HEAD"]) is None
    assert git_output(str(tmp_path), ["rev-parse", "HEAD"]) is None
