import os
import sys
from pathlib import Path

import pytest

from codepretrain.evals.sandbox.interpreter_files import (
    _links,
    _system_libraries,
    interpreter_files,
)


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


def test_the_directories_of_the_c_library_are_taken_and_no_others() -> None:
    maps = """\
7f36 r-xp 00026000 fe:00 154 /lib/x86_64-linux-gnu/libc-2.31.so
7f37 r-xp 00026000 fe:00 155 /opt/python/lib/libpython3.11.so.1.0
7f38 r-xp 00026000 fe:00 156 /usr/local/cuda/lib64/libcudart.so.12
7f39 r-xp 00026000 fe:00 157 /opt/ssl/lib/libcrypto.so.3
7f3a r-xp 00026000 fe:00 158 /venv/lib/python3.11/site-packages/x.libs/libc.so.6
7f3b rw-p 00000000 00:00 0
7f3c r-xp 00000000 00:00 0 [vdso]
"""
    assert _system_libraries(maps) == [
        "/lib/x86_64-linux-gnu",
        "/opt/python/lib/libpython3.11.so.1.0",
        "/usr/lib/x86_64-linux-gnu",
    ]
