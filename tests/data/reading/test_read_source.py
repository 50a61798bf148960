"""A source is read in parts: the same ones whatever the engine, and whatever interrupted it."""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from codepretrain.data.engines.engine import InProcess, local_engine
from codepretrain.data.readers.folder import Folder
from codepretrain.data.reading import part_plan
from codepretrain.data.reading.checksums import CHECKSUMS
from codepretrain.data.reading.documents import open_documents
from codepretrain.data.reading.documents_manifest import DocumentsManifest
from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.files.hashing import sha256_file
from tests.conftest import ROOT
from tests.fixtures.documents import read, texts

NUM_FILES = 640


@pytest.fixture(autouse=True)
def small_parts(monkeypatch) -> None:
    """Every shard is a part."""
    monkeypatch.setattr(part_plan, "PART_BYTES", 1)
    monkeypatch.setattr(part_plan, "_MIN_PART_BYTES", 1)


@pytest.fixture
def raw(tmp_path) -> Path:
    """640 files: ten shards."""
    folder = tmp_path / "raw"
    folder.mkdir()
    for number in range(NUM_FILES):
        (folder / f"{number:03}.txt").write_text(f"text {number}\n" * (1 + number % 5))
    return folder


def reader(raw: Path, max_bytes: int | None = None) -> Folder:
    return Folder(path=str(raw), pattern="*.txt", max_bytes=max_bytes)


def pools(data_dir: Path) -> dict[str, bytes]:
    """Every file of the pools beside a study's data directory, by name."""
    root = data_dir.parent / "documents"
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def finished_parts(folder: Path) -> dict[Path, int]:
    """The time of each finished part, by its list of files."""
    found = times(folder).items()
    return {
        path: time
        for path, time in found
        if path.name == "files.json" and ".partial" not in path.parent.name
    }


@pytest.fixture
def whole(tmp_path, raw) -> Path:
    """The study's data directory after an unbroken reading in this process."""
    read(tmp_path / "whole" / "study", "s", reader(raw))
    return tmp_path / "whole" / "study"


def test_the_parts_do_not_depend_on_the_engine(tmp_path, raw, whole) -> None:
    with local_engine(2) as engine:
        read(tmp_path / "two" / "study", "s", reader(raw), engine=engine)
    assert pools(tmp_path / "two" / "study") == pools(whole)
    assert (tmp_path / "two/study/documents.json").read_bytes() == (
        whole / "documents.json"
    ).read_bytes()
    assert len(open_documents(whole, "s").manifest.parts) == 10


class Interrupting(Folder):
    """Is interrupted in the shard with file 400, before its end."""

    def read(self, shard, source):
        for number, item in enumerate(super().read(shard, source)):
            if "400.txt" in shard and number == 30:
                raise KeyboardInterrupt
            yield item

    def __repr__(self) -> str:
        return super().__repr__().replace("Interrupting", "Folder")


@pytest.mark.parametrize("num_workers", [1, 2])
def test_an_interrupted_reading_goes_on_with_the_parts_it_has(
    tmp_path, raw, whole, num_workers
) -> None:
    data_dir = tmp_path / "data" / "study"
    broken = Interrupting(path=str(raw), pattern="*.txt")
    with pytest.raises(KeyboardInterrupt), local_engine(num_workers) as engine:
        read(data_dir, "s", broken, engine=engine)
    finished = finished_parts(tmp_path / "data")
    assert 6 <= len(finished) <= 9
    assert not list(tmp_path.rglob("*.partial*"))
    with local_engine(num_workers) as engine:
        read(data_dir, "s", reader(raw), engine=engine)
    assert pools(data_dir) == pools(whole)
    assert all(path.stat().st_mtime_ns == time for path, time in finished.items())


_KILLED = """
import os, signal, sys
from pathlib import Path
from codepretrain.data.reading import part_plan
from codepretrain.data.engines.engine import local_engine
from codepretrain.data.keys import KeysWriter
from codepretrain.data.readers.folder import Folder
from tests.fixtures.documents import read

class Killed(Folder):
    def read(self, shard, source):
        for number, item in enumerate(super().read(shard, source)):
            if "400.txt" in shard and number == 30:
                os.kill(int(os.environ["PARENT"]), signal.SIGKILL)
            yield item
    def __repr__(self):
        return super().__repr__().replace("Killed", "Folder")

if __name__ == "__main__":
    part_plan.PART_BYTES = part_plan._MIN_PART_BYTES = 1
    os.environ["PARENT"] = str(os.getpid())
    with local_engine(int(sys.argv[3])) as engine:
        read(Path(sys.argv[1]), "s", Killed(path=sys.argv[2], pattern="*.txt"), engine=engine)
"""


@pytest.mark.parametrize("num_workers", [1, 2])
def test_a_killed_reading_goes_on_with_the_parts_it_has(tmp_path, raw, whole, num_workers) -> None:
    data_dir, script = tmp_path / "data" / "study", tmp_path / "killed.py"
    script.write_text(_KILLED)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, script, data_dir, raw, str(num_workers)]
    # The pipe's end is reached when the parent and all its children have closed it.
    ended = subprocess.run(
        command, stdout=subprocess.PIPE, env=environment, timeout=120, check=False
    )
    assert ended.returncode == -signal.SIGKILL
    finished = finished_parts(tmp_path / "data")
    assert 4 <= len(finished) <= 9
    assert not (data_dir / "documents.json").exists()
    assert list(tmp_path.rglob("*.partial*")), "it was killed in the middle of a part"
    with local_engine(num_workers) as engine:
        read(data_dir, "s", reader(raw), engine=engine)
    assert pools(data_dir) == pools(whole)
    assert all(path.stat().st_mtime_ns == time for path, time in finished.items())


def test_a_changed_file_gives_one_other_part(tmp_path, raw, whole, monkeypatch) -> None:
    before = pools(whole)
    old = open_documents(whole, "s").manifest
    first = times(whole.parent / "documents")
    shards_read: list[str] = []
    original = Folder.read

    def spy(self, shard, source):
        shards_read.append(shard[0])
        return original(self, shard, source)

    monkeypatch.setattr(Folder, "read", spy)
    (raw / "100.txt").write_text("another text\n" * 100)
    new = read(whole, "s", reader(raw))
    assert shards_read == ["064.txt"]
    assert [a.key == b.key for a, b in zip(old.parts, new.parts, strict=True)].count(False) == 1
    assert {name: pools(whole)[name] for name in before if not name.endswith(CHECKSUMS)} == {
        name: contents for name, contents in before.items() if not name.endswith(CHECKSUMS)
    }
    for path, time in first.items():
        if path.is_file() and path.name != CHECKSUMS:
            assert path.stat().st_mtime_ns == time
    (raw / "100.txt").write_text("text 100\n")
    assert read(whole, "s", reader(raw)) == old
    assert shards_read == ["064.txt"], "the former part is still there"


def test_another_source_leaves_the_folder_as_it_is(tmp_path, raw, whole) -> None:
    folder = open_documents(whole, "s").folder
    before = times(Path(folder))
    read(whole, "other", texts("a", "b"))
    assert times(Path(folder)) == before
    assert [d.text for d in open_documents(whole, "other").read()] == ["a", "b"]


def test_a_second_study_reads_nothing(tmp_path, raw, whole, monkeypatch) -> None:
    before = times(whole.parent / "documents")
    monkeypatch.setattr(Folder, "read", None)
    read(whole.parent / "second", "s", reader(raw))
    assert times(whole.parent / "documents") == before
    assert open_documents(whole.parent / "second", "s").hash == open_documents(whole, "s").hash


@pytest.mark.parametrize("limit", [1, 5000, 12_000, 10**9])
def test_parts_are_read_until_the_limit_whatever_the_engine(tmp_path, raw, whole, limit) -> None:
    found: dict[int, DocumentsManifest] = {}
    for num_workers in (1, 2):
        with local_engine(num_workers) as engine:
            data_dir = tmp_path / str(num_workers) / "study"
            found[num_workers] = read(data_dir, "s", reader(raw, max_bytes=limit), engine=engine)
    assert found[1] == found[2]
    assert pools(tmp_path / "1" / "study") == pools(tmp_path / "2" / "study")
    manifest, all_parts = found[1], open_documents(whole, "s").manifest.parts
    assert manifest.parts == all_parts[: len(manifest.parts)]
    sizes = [part.num_bytes for part in manifest.parts]
    assert manifest.was_capped == (sum(sizes) >= limit) == (limit < 10**9)
    assert sum(sizes[:-1]) < limit
    if limit < 10**9:
        documents = list(open_documents(tmp_path / "1" / "study", "s").read())
        within = open_documents(tmp_path / "1" / "study", "s").num_within_limit
        assert sum(d.num_bytes for d in documents[:within]) >= limit
        assert sum(d.num_bytes for d in documents[: within - 1]) < limit
    else:
        assert len(manifest.parts) == 10


def test_a_higher_limit_uses_the_parts_that_are_there(tmp_path, raw) -> None:
    data_dir = tmp_path / "data" / "study"
    read(data_dir, "s", reader(raw, max_bytes=5000))
    before = finished_parts(tmp_path / "data")
    manifest = read(data_dir, "s", reader(raw))
    assert len(manifest.parts) == 10
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


def test_no_more_is_read_than_is_expected_to_reach_the_limit(tmp_path, monkeypatch) -> None:
    """The first parts tell how much text the others have; each has 100 bytes."""
    tasks: list[int] = []

    class Counted(InProcess):
        def map(self, function, some):
            some = list(some)
            tasks.append(len(some))
            return super().map(function, some)

    many = texts(*["x" * 100] * 400, per_shard=1, max_bytes=20_000)
    read(tmp_path / "study", "s", many, engine=Counted())
    assert tasks == [4, 196]


def test_a_source_that_is_mostly_damaged_is_refused_and_its_parts_are_kept(tmp_path, raw) -> None:
    for number in range(400):
        (raw / f"{number:03}.txt").write_bytes(b"\xff\xfe\xff")
    message = r"sources.s: 400 of 640 raw records are damaged, expected at most 0.5 .*not UTF-8"
    with pytest.raises(UserError, match=message):
        read(tmp_path / "data" / "study", "s", reader(raw))
    parts = times(tmp_path / "data" / "documents")
    accepting = dataclasses.replace(reader(raw), max_damaged_share=0.7)
    manifest = read(tmp_path / "data" / "study", "s", accepting)
    assert (manifest.num_documents, manifest.skipped["not UTF-8"]) == (240, 400)
    assert parts


def test_an_object_store_holds_the_same(raw, whole, memory) -> None:
    read(memory / "study", "s", reader(raw))
    found = {
        name: sha256_file(memory / "documents" / name)
        for name in storage.sizes_below(memory / "documents")
    }
    root = whole.parent / "documents"
    assert found == {name: sha256_file(root / name) for name in storage.sizes_below(root)}
    assert [d.id for d in open_documents(memory / "study", "s").read()] == [
        d.id for d in open_documents(whole, "s").read()
    ]


def test_a_damaged_part_is_named_and_read_again_once_it_is_deleted(raw, whole) -> None:
    documents = open_documents(whole, "s")
    directory = Path(documents.part_folder(documents.manifest.parts[3]))
    before = pools(whole)
    (directory / "keys.npy").write_bytes(b"")
    with pytest.raises(UserError, match=rf"damaged {directory}: keys.npy has 0 bytes.*; delete"):
        read(whole, "s", reader(raw))
    shutil.rmtree(directory)
    read(whole, "s", reader(raw))
    assert pools(whole) == before
