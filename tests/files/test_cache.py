"""Local copies: verified, bounded, shared by processes, never taken from a reader."""

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from etils import epath

from codepretrain.errors import UserError
from codepretrain.files import cache as cache_module
from codepretrain.files import storage
from codepretrain.files.atomic import write_bytes
from codepretrain.files.cache import Cache
from codepretrain.files.hashing import sha256_bytes

_SIZE = 1000

# Reads random files of ten through a cache of four, and checks the bytes of every copy held.
_READ = """
import random, sys
from codepretrain.files import storage
from codepretrain.files.cache import Cache
from codepretrain.files.hashing import sha256_bytes
folder, directory, seed = storage.parse(sys.argv[1]), sys.argv[2], int(sys.argv[3])
cache, rng = Cache(directory, max_bytes=4000), random.Random(seed)
contents = [bytes([n]) * 1000 for n in range(10)]
for step in range(30):
    n = rng.randrange(10)
    with cache.hold(folder / str(n), sha256=sha256_bytes(contents[n])) as path:
        assert path.read_bytes() == contents[n]
        print(step, flush=True)
"""


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", max_bytes=3 * _SIZE)


def put(folder: epath.Path, number: int) -> tuple[epath.Path, str]:
    content = bytes([number]) * _SIZE
    write_bytes(folder / str(number), content)
    return folder / str(number), sha256_bytes(content)


def copies(tmp_path: Path) -> list[str]:
    return [name for name in os.listdir(tmp_path / "cache") if not name.startswith(".lock")]


def test_a_local_file_is_its_own_copy(tmp_path: Path, cache: Cache) -> None:
    path = storage.parse(tmp_path / "x")
    with cache.hold(path, sha256="of no interest") as held:
        assert os.fspath(held) == os.fspath(path)
    assert not (tmp_path / "cache").exists()


def test_downloads_once(memory: epath.Path, tmp_path: Path, cache: Cache) -> None:
    path, sha256 = put(memory, 1)
    with cache.hold(path, sha256=sha256) as held:
        assert held.read_bytes() == b"\1" * _SIZE
    storage.remove(path)
    with cache.hold(path, sha256=sha256) as held:
        assert held.read_bytes() == b"\1" * _SIZE
    assert copies(tmp_path) == [sha256]


def test_a_damaged_file_never_becomes_a_copy(
    memory: epath.Path, tmp_path: Path, cache: Cache
) -> None:
    path, _ = put(memory, 1)
    with pytest.raises(UserError, match="folder/1 is damaged: its sha256 is"):
        cache.hold(path, sha256=sha256_bytes(b"else"))
    with pytest.raises(storage.MissingFileError, match="folder/none"):
        cache.hold(memory / "none", sha256=sha256_bytes(b"none"))
    assert copies(tmp_path) == []


def test_the_least_recently_used_goes_first(
    memory: epath.Path, tmp_path: Path, cache: Cache
) -> None:
    files = [put(memory, number) for number in range(4)]
    for number in (0, 1, 2, 0, 3):
        cache.hold(files[number][0], sha256=files[number][1]).close()
        time.sleep(0.02)  # the file system's times are that coarse
    assert sorted(copies(tmp_path)) == sorted(files[number][1] for number in (0, 2, 3))


def test_a_copy_in_use_stays(memory: epath.Path, tmp_path: Path, cache: Cache) -> None:
    files = [put(memory, number) for number in range(5)]
    held = [cache.hold(path, sha256=sha256) for path, sha256 in files[:2]]
    for path, sha256 in files[2:]:
        cache.hold(path, sha256=sha256).close()
    assert [h.path.read_bytes()[0] for h in held] == [0, 1]
    with (
        cache.hold(files[2][0], sha256=files[2][1]),
        pytest.raises(UserError, match=r"may hold 3,000 bytes, of which 3,000 are in use; 1,000"),
    ):
        cache.hold(files[3][0], sha256=files[3][1])
    for h in held:
        h.close()
        h.close()
    cache.hold(files[3][0], sha256=files[3][1]).close()
    assert len(copies(tmp_path)) == 3


def test_what_a_killed_download_left_is_removed(
    memory: epath.Path, tmp_path: Path, cache: Cache
) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / ".abc.1234.partial").write_bytes(b"x" * 5000)
    path, sha256 = put(memory, 1)
    cache.hold(path, sha256=sha256).close()
    assert copies(tmp_path) == [sha256]


def test_many_threads_share_one_download(
    memory: epath.Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, sha256 = put(memory, 1)
    read, downloads = cache_module.read_chunks, []

    def counted(path: epath.Path) -> object:
        downloads.append(path)
        time.sleep(0.1)
        return read(path)

    monkeypatch.setattr(cache_module, "read_chunks", counted)
    results: list[bytes] = []

    def hold() -> None:
        with cache.hold(path, sha256=sha256) as held:
            results.append(held.read_bytes())

    threads = [threading.Thread(target=hold) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [b"\1" * _SIZE] * 8
    assert len(downloads) == 1


def test_processes_share_a_cache_and_may_be_killed(
    s3: epath.Path, tmp_path: Path, start: Any
) -> None:
    for number in range(10):
        put(s3, number)
    for seed in range(4):
        victim = start(_READ, s3, tmp_path / "cache", str(100 + seed))
        for _ in range(3 * seed + 1):
            victim.stdout.readline()
        victim.kill()
    processes = [start(_READ, s3, tmp_path / "cache", str(seed)) for seed in range(3)]
    for process in processes:
        assert len(process.stdout.read().split()) == 30
        assert process.wait() == 0
    sizes = [(tmp_path / "cache" / name).stat().st_size for name in copies(tmp_path)]
    assert sum(sizes) <= 4000
    assert not [name for name in copies(tmp_path) if name.endswith(".partial")]
