import os
import random
import threading
from pathlib import Path

import pytest

from codepretrain.errors import UserError
from codepretrain.files.open_files import OpenFiles, _limit
from codepretrain.files.storage import MissingFileError


def make_files(folder: Path, count: int) -> list[Path]:
    """File n holds the bytes of n, a hundred times four digits."""
    paths = [folder / f"{number}" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(f"{number:04}".encode() * 100)
    return paths


def test_ranges_are_read_and_end_with_the_file(tmp_path: Path) -> None:
    [path] = make_files(tmp_path, 1)
    files = OpenFiles()
    assert files.read(path, 4, 10) == b"000000"
    assert files.read(path, 398, 500) == b"00"
    assert files.read(path, 500, 600) == b""
    assert files.read(str(path), 3, 3) == b""


def test_many_threads_share_few_descriptors(tmp_path: Path) -> None:
    paths = make_files(tmp_path, 50)
    files = OpenFiles(max_open=3)
    before = len(os.listdir("/proc/self/fd"))
    wrong: list[int] = []

    def read(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(300):
            number = rng.randrange(50)
            if files.read(paths[number], 8, 12) != f"{number:04}".encode():
                wrong.append(number)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(os.listdir("/proc/self/fd")) == before + 3


def test_a_closed_file_is_opened_again_and_a_deleted_one_is_named(tmp_path: Path) -> None:
    [path] = make_files(tmp_path, 1)
    files = OpenFiles()
    files.read(path, 0, 1)
    path.unlink()
    assert files.read(path, 0, 4) == b"0000"  # still open
    files.close(path)
    with pytest.raises(MissingFileError, match=f"there is no file {path}"):
        files.read(path, 0, 4)
    with pytest.raises(UserError, match=f"cannot read {tmp_path}: Is a directory"):
        files.read(tmp_path, 0, 4)


def test_the_bound_leaves_half_of_the_descriptors_to_others() -> None:
    assert 1 <= _limit() <= 4096
