"""Shards are divided into parts that stay what they were when other shards change."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from codepretrain.data.document import Document, Skipped
from codepretrain.data.readers.folder import Folder
from codepretrain.data.readers.reader import RawFile, Reader
from codepretrain.data.reading import part_plan
from codepretrain.data.reading.checksums import Checksums
from codepretrain.data.reading.part_plan import Part, part_inventory, part_key, plan_parts


@dataclass(frozen=True, kw_only=True)
class Files(Reader):
    """A shard for each name; a file that is named twice is two shards."""

    root: str
    names: tuple[str, ...]

    def shards(self) -> Sequence[RawFile]:
        return [RawFile(f"{self.root}/{name}", name) for name in self.names]

    def read(self, shard: RawFile, source: str) -> Iterator[Document | Skipped]:
        yield from ()


@pytest.fixture
def corpus(tmp_path, monkeypatch) -> Files:
    """600 files of 100 to 299 bytes; a part has 3000 on average."""
    monkeypatch.setattr(part_plan, "PART_BYTES", 3000)
    names = tuple(f"{number:03}" for number in range(600))
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(b"x" * (100 + number * 7 % 200))
    return Files(root=str(tmp_path), names=names)


def plan(reader: Reader) -> list[Part]:
    return list(plan_parts(reader, reader.shards()))


def keys(reader: Reader, folder: Path, settings: str = "s") -> list[str]:
    checksums = Checksums(folder)
    return [part_key(p, part_inventory(p, checksums), settings) for p in plan(reader)]


def test_parts_are_consecutive_and_of_the_mean_size(corpus) -> None:
    parts = plan(corpus)
    assert [shard.name for part in parts for shard in part.shards] == list(corpus.names)
    for part in parts:
        assert part.num_bytes == sum(version.size for version in part.versions)
        assert part.files == part.shards
    assert 25 < len(parts) < 60, "120,000 bytes"


def test_a_large_shard_ends_its_part(corpus) -> None:
    (Path(corpus.root) / "301").write_bytes(b"x" * 5000)
    parts = [[shard.name for shard in part.shards] for part in plan(corpus)]
    (found,) = (part for part in parts if "301" in part)
    assert found[-1] == "301"


def test_keys_change_with_settings_names_contents_and_places(corpus, tmp_path) -> None:
    before = keys(corpus, tmp_path)
    assert len(before) == len({*before})
    assert keys(corpus, tmp_path) == before
    assert not {*before} & {*keys(corpus, tmp_path, settings="other")}
    (Path(corpus.root) / "000").write_bytes(b"y" * 100)
    altered = keys(corpus, tmp_path)
    assert altered[0] != before[0]
    assert altered[1:] == before[1:]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in corpus.names:
        (elsewhere / name).write_bytes((Path(corpus.root) / name).read_bytes())
    assert keys(replace(corpus, root=str(elsewhere)), tmp_path) == altered


@pytest.mark.parametrize("size", [0, 150, 2000, 40_000])
def test_a_file_of_another_size_changes_its_part_and_no_other(corpus, tmp_path, size) -> None:
    before = keys(corpus, tmp_path)
    (Path(corpus.root) / "300").write_bytes(b"y" * size)
    after = keys(corpus, tmp_path)
    new, gone = ({*some} - {*others} for some, others in ((after, before), (before, after)))
    # A file so large that it has become the last of its part divides it.
    assert (len(new), len(gone)) == ((2, 1) if size == 40_000 else (1, 1))


def test_a_file_that_is_new_or_gone_changes_its_part_and_no_other(corpus, tmp_path) -> None:
    before = keys(corpus, tmp_path)
    gone = replace(corpus, names=corpus.names[:300] + corpus.names[301:])
    after = keys(gone, tmp_path)
    assert len({*after} - {*before}) == len({*before} - {*after}) == 1


def test_shards_of_one_file_share_its_bytes_and_are_told_apart(corpus, tmp_path) -> None:
    (Path(corpus.root) / "big").write_bytes(b"x" * 36_000)
    shared = replace(corpus, names=("big",) * 12)
    parts = plan(shared)
    assert [len(part.shards) for part in parts] == [1] * 12, "3000 bytes each"
    assert len({*keys(shared, tmp_path)}) == 12


def test_shards_without_a_known_size_count_as_four_mebibytes(tmp_path) -> None:
    from tests.fixtures.documents import texts

    many = texts(*map(str, range(1600)), per_shard=1)
    assert {part.num_bytes // len(part.shards) for part in plan(many)} == {4 * 2**20}
    assert 70 < len(plan(many)) < 130, "16 shards a part"


def test_a_small_limit_gives_smaller_parts() -> None:
    assert part_plan.part_bytes(None) == 64 * 2**20
    assert part_plan.part_bytes(10**12) == 64 * 2**20
    assert part_plan.part_bytes(64 * 2**20) == 8 * 2**20
    assert part_plan.part_bytes(1000) == 2**20


def test_lists_of_files_are_shards_too(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(part_plan, "PART_BYTES", 1)
    for number in range(130):
        (tmp_path / f"{number:03}.txt").write_text("text")
    parts = plan(Folder(path=str(tmp_path), pattern="*.txt"))
    assert [len(part.files) for part in parts] == [64, 64, 2]
