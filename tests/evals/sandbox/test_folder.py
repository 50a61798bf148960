import os
from pathlib import Path

from codepretrain.evals.sandbox import folder


def test_a_folder_holds_the_program_and_a_place_to_work(tmp_path: Path) -> None:
    path = folder.path_of(str(tmp_path), 7, "ab")
    folder.create(path, b"print(1)")
    assert sorted(os.listdir(path)) == ["program.py", "work"]
    assert os.stat(path).st_mode & 0o777 == 0o700
    folder.remove(path)
    folder.remove(path)
    assert os.listdir(tmp_path) == []


def test_links_are_removed_and_not_followed(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("x")
    path = folder.path_of(str(tmp_path), 7, "ab")
    folder.create(path, b"")
    os.symlink(kept, f"{path}/work/link")
    folder.remove(path)
    assert (kept / "file").read_text() == "x"
    assert os.listdir(tmp_path) == ["kept"]


def test_a_deep_and_wide_tree_is_removed(tmp_path: Path) -> None:
    path = folder.path_of(str(tmp_path), 7, "ab")
    folder.create(path, b"")
    here = os.getcwd()
    try:
        os.chdir(f"{path}/work")
        for _ in range(1200):
            os.mkdir("a")
            os.mkdir("b")
            Path("f").write_text("x")
            os.chmod("b", 0)
            os.chdir("a")
    finally:
        os.chdir(here)
    folder.remove(path)
    assert os.listdir(tmp_path) == []
