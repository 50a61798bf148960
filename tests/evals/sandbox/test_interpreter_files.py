import os
import sys
from pathlib import Path

import pytest

from codepretrain.evals.sandbox.interpreter_files import _links, interpreter_files


def test_paths_are_resolved_and_none_is_below_another() -> None:
    files = interpreter_files()
    assert os.access(files.interpreter, os.X_OK)
    for path in files.readable:
        assert os.path.realpath(path) == path
        assert not [other for other in files.readable if path.startswith(other + "/")]


def test_neither_the_environment_nor_personal_files_are_among_them() -> None:
    files = interpreter_files()
    forbidden = {"/", "/usr", "/etc", "/home", "/root", "/tmp", os.path.expanduser("~")}
    assert not forbidden & set(files.readable)
    if sys.prefix != sys.base_prefix:
        assert not [path for path in files.readable if path.startswith(sys.prefix + "/")]


def test_packages_of_the_base_interpreter_are_hidden() -> None:
    files = interpreter_files()
    for path in files.hidden:
        assert os.path.isdir(path)
        assert [folder for folder in files.readable if path.startswith(folder + "/")]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("real/file", {}),
        ("link/file", {"link": "real"}),
        ("chain/file", {"chain": "link", "link": "real"}),
        ("real/up/real/file", {"real/up": ".."}),
    ],
)
def test_links_on_the_way_are_found(tmp_path: Path, path: str, expected: dict[str, str]) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_text("")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "chain").symlink_to("link")
    (tmp_path / "real" / "up").symlink_to("..")
    absolute = {f"{tmp_path}/{name}": target for name, target in expected.items()}
    assert _links(f"{tmp_path}/{path}") == absolute
