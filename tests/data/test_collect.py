import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from codepretrain.data.collect import collect, read_shards
from codepretrain.data.document import Document, Skipped
from codepretrain.data.documents import (
    load_documents_keys,
    load_documents_manifest,
    read_documents,
)
from codepretrain.data.keys import group_key, text_digest
from codepretrain.data.readers.reader import RawFile, Reader
from codepretrain.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Texts(Reader):
    """Two texts a shard."""

    texts: tuple[str, ...]

    def shards(self) -> Sequence[int]:
        return range(0, len(self.texts), 2)

    def files(self, shard: int) -> Sequence[RawFile]:
        return []

    def read(self, shard: int, source: str) -> Iterator[Document | Skipped]:
        for number, text in enumerate(self.texts[shard : shard + 2], start=shard):
            if text.startswith("!"):
                yield Skipped(str(number), text[1:])
            else:
                yield Document(id=str(number), text=text, source=source, origin="here")


def run(tmp_path, reader: Reader):
    kept: list[int] = []
    manifest, stamps = collect(
        "s",
        reader,
        reader.shards(),
        directory=tmp_path / "s",
        settings_hash="h",
        executor=None,
        advance=kept.append,
    )
    assert stamps == []
    assert load_documents_manifest(tmp_path / "s", source="s")[0] == manifest
    assert sum(kept) == manifest.num_bytes
    documents = read_documents(tmp_path / "s", source="s")
    return manifest, [document.text for document in documents]


def test_all_that_is_left_out_is_counted(tmp_path) -> None:
    texts = ("aa", "aa", "b", "!odd", "!odd", "c" * 9, "\ud800 lone surrogate", "né", "aa")
    reader = Texts(texts=texts, min_document_bytes=2, max_document_bytes=8)
    manifest, kept = run(tmp_path, reader)
    assert kept == ["aa", "né"]
    assert (manifest.num_documents, manifest.num_bytes) == (2, 5)
    assert manifest.skipped == {
        "exact duplicates": 2,
        "longer than max_document_bytes": 1,
        "not valid Unicode": 1,
        "odd": 2,
        "shorter than min_document_bytes": 1,
    }
    assert manifest.skipped_examples["odd"] == "3"
    assert manifest.skipped_examples.keys() == manifest.skipped.keys()
    assert not manifest.was_capped


def test_reading_stops_at_max_bytes(tmp_path) -> None:
    reader = Texts(texts=tuple("abcdefgh"), max_bytes=3)
    manifest, kept = run(tmp_path, reader)
    assert kept == ["a", "b", "c"]
    assert manifest.was_capped


def test_keys_are_those_of_documents_and_then_of_duplicates(tmp_path) -> None:
    run(tmp_path, Texts(texts=("aa", "b", "aa", "!odd", "né", "b")))
    keys = load_documents_keys(tmp_path / "s", source="s")
    assert keys["num_bytes"].tolist() == [2, 1, 3, 2, 1]
    texts = [int.from_bytes(text_digest(t)[:8], "little") for t in (b"aa", b"b", "né".encode())]
    assert keys["text"].tolist() == [*texts, *texts[:2]]
    groups = [group_key(Document(id=i, text="", source="s", origin="o")) for i in "01425"]
    assert keys["group"].tolist() == groups
    assert len(set(groups)) == 5


def test_order_does_not_depend_on_the_executor() -> None:
    reader = Texts(texts=tuple(str(n) for n in range(61)))
    alone = [list(items) for items in read_shards(reader, reader.shards(), "s", None)]
    with ThreadPoolExecutor(4) as executor:
        assert list(read_shards(reader, reader.shards(), "s", executor)) == alone
    assert len(alone) == 31
    assert sum(map(len, alone)) == 61


def test_no_documents_is_an_error(tmp_path) -> None:
    with pytest.raises(
        UserError, match=r"sources.s has no documents; skipped: 1 odd \(the first: 0\)"
    ):
        run(tmp_path, Texts(texts=("!odd",)))
    assert not (tmp_path / "s").exists()


@dataclass(frozen=True, kw_only=True)
class Killed(Texts):
    def read(self, shard: int, source: str) -> Iterator[Document | Skipped]:
        os.kill(os.getpid(), signal.SIGKILL)
        yield from ()


def test_a_killed_reading_process_is_an_error_not_a_hang() -> None:
    with (
        ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor,
        pytest.raises(UserError, match=r"a reading process was killed, .*--num-workers 1"),
    ):
        list(read_shards(Killed(texts=("a",)), [0], "s", executor))
