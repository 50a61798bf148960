"""The documents of a source, over parts in the pool."""

import json
from pathlib import Path

import numpy as np
import pytest

from codepretrain.data.document import Document
from codepretrain.data.keys import group_key, text_digest
from codepretrain.data.reading import part_plan
from codepretrain.data.reading.documents import (
    SourceDocuments,
    has_documents,
    open_documents,
    pool_folder,
)
from codepretrain.data.reading.documents_view import documents_view_path, load_documents_view
from codepretrain.errors import UserError
from codepretrain.files.sealed import read_sealed, write_sealed
from tests.fixtures.documents import read, texts

NUM_PARTS = 3
PER_PART = 300


@pytest.fixture
def small_parts(monkeypatch) -> None:
    """Every shard is a part."""
    monkeypatch.setattr(part_plan, "PART_BYTES", 1)


@pytest.fixture
def data_dir(tmp_path, small_parts) -> Path:
    """Documents of source "s" in three parts; their texts are their numbers."""
    path = tmp_path / "data" / "study"
    read(path, "s", texts(*map(str, range(NUM_PARTS * PER_PART)), per_shard=PER_PART))
    return path


def documents(data_dir: Path) -> SourceDocuments:
    return open_documents(data_dir, "s")


def pool(data_dir: Path) -> Path:
    return Path(documents(data_dir).folder)


def manifest_path(data_dir: Path) -> Path:
    return pool(data_dir) / load_documents_view(data_dir)["s"].manifest


def part(data_dir: Path, number: int = 1) -> Path:
    found = documents(data_dir)
    return Path(found.part_folder(found.manifest.parts[number]))


def ids(data_dir: Path, wanted: np.ndarray | None = None) -> list[int]:
    return [int(document.id) for document in documents(data_dir).read(wanted)]


def test_documents_are_read_in_order(data_dir) -> None:
    found = documents(data_dir)
    assert found.source == "s"
    assert [p.num_documents for p in found.manifest.parts] == [PER_PART] * NUM_PARTS
    assert found.manifest.num_documents == found.num_within_limit == 900
    assert ids(data_dir) == list(range(900))
    wanted = np.zeros(900, bool)
    wanted[[0, 299, 300, 555, 899]] = True
    assert ids(data_dir, wanted) == [0, 299, 300, 555, 899]
    assert ids(data_dir, ~wanted) == [n for n in range(900) if not wanted[n]]
    found.check(reads_contents=True)


def test_parts_without_a_wanted_document_are_not_opened(data_dir) -> None:
    (part(data_dir) / "files.json").unlink()
    wanted = np.arange(900) >= 600
    assert ids(data_dir, wanted) == list(range(600, 900))
    with pytest.raises(UserError, match="no documents at"):
        ids(data_dir)


def test_keys_are_those_of_documents_in_order(data_dir) -> None:
    keys = documents(data_dir).keys()
    assert keys["num_bytes"].tolist() == [len(str(number)) for number in range(900)]
    assert keys["text"].tolist() == [
        int.from_bytes(text_digest(str(number).encode())[:8], "little") for number in range(900)
    ]
    assert keys["group"].tolist() == [
        group_key(Document(id=str(number), text="", source="s", origin="o"))
        for number in range(900)
    ]


def test_the_hash_sees_documents_their_order_and_the_limit(tmp_path, small_parts) -> None:
    readers = {
        "a": texts("x", "y", per_shard=1),
        "b": texts("x", "y", per_shard=1),
        "c": texts("y", "x", per_shard=1),
        "d": texts("x", "y", per_shard=1, max_bytes=2),
    }
    hashes = {}
    for name, reader in readers.items():
        read(tmp_path / name / "study", "s", reader)
        hashes[name] = documents(tmp_path / name / "study").hash
    assert hashes["a"] == hashes["b"]
    assert len({*hashes.values()}) == 3


def test_documents_beyond_the_limit_are_counted(tmp_path, small_parts) -> None:
    data_dir = tmp_path / "data" / "study"
    reader = texts(*["four"] * 30, per_shard=10, max_bytes=50)
    manifest = read(data_dir, "s", reader)
    assert (manifest.num_documents, manifest.limit, manifest.was_capped) == (20, 50, True)
    assert documents(data_dir).num_within_limit == 13, "the 13th reaches 50 bytes"
    assert len(ids(data_dir)) == 20
    exact = texts(*["four"] * 30, per_shard=10, max_bytes=48)
    read(data_dir, "s", exact)
    assert documents(data_dir).num_within_limit == 12
    far = texts(*["four"] * 30, per_shard=10, max_bytes=1000)
    assert not read(data_dir, "s", far).was_capped
    assert documents(data_dir).num_within_limit == 30


def test_a_source_that_was_not_read(tmp_path, data_dir) -> None:
    assert has_documents(data_dir, "s")
    assert not has_documents(data_dir, "other")
    with pytest.raises(UserError, match=r"documents.json has no documents of source 'other': run"):
        open_documents(data_dir, "other")
    with pytest.raises(UserError, match=r"has no documents of source 's': run `codepretrain"):
        open_documents(tmp_path / "empty" / "study", "s")


@pytest.mark.parametrize("name", ["files.json", "manifest"])
def test_documents_without_a_part_or_the_manifest_are_not_there(data_dir, name) -> None:
    (manifest_path(data_dir) if name == "manifest" else part(data_dir) / name).unlink()
    assert not has_documents(data_dir, "s")


def test_the_pool_is_beside_the_studys_directory() -> None:
    assert pool_folder("w/data/study", "s", "0123456789abcdef") == Path(
        "w/data/documents/s-0123456789ab"
    )


def test_an_altered_manifest_is_named_even_if_its_seal_fits(data_dir) -> None:
    path = manifest_path(data_dir)
    value, _ = read_sealed(path)
    path.write_text(json.dumps(value))
    with pytest.raises(UserError, match=rf"{path} has no seal; delete {path} and run"):
        documents(data_dir)
    write_sealed(path, value | {"num_documents": 899})
    with pytest.raises(UserError, match=rf"{path} was altered: .*study/documents.json names its"):
        documents(data_dir)
    write_sealed(path, value | {"format_version": 99})
    with pytest.raises(UserError, match=rf"{path} has format 99, this version reads 3"):
        documents(data_dir)


def test_a_manifest_of_another_source_is_named(data_dir) -> None:
    read(data_dir, "other", texts("a"))
    path = documents_view_path(data_dir)
    value, _ = read_sealed(path)
    value["sources"]["s"] = value["sources"]["other"]
    write_sealed(path, value)
    with pytest.raises(UserError, match=r"manifest of source 'other', expected 's'; delete .*json"):
        documents(data_dir)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "documents.json has no seal"),
        ("[]", "documents.json is damaged: expected a JSON object"),
    ],
)
def test_a_damaged_list_of_documents_is_named(data_dir, text, message) -> None:
    documents_view_path(data_dir).write_text(text)
    with pytest.raises(UserError, match=rf"{message}.*; delete .* run `codepretrain prepare`"):
        documents(data_dir)
    for value in ({"format_version": 9}, {"format_version": 1, "sources": {"s": {}}}):
        write_sealed(documents_view_path(data_dir), value)
        with pytest.raises(UserError, match=r"documents.json.*(format 9|folder is missing).*; del"):
            documents(data_dir)


@pytest.mark.parametrize("reads_contents", [False, True])
def test_every_damaged_part_is_named(data_dir, reads_contents) -> None:
    """One after the other would need one run of hours each."""
    damaged = [part(data_dir, number) for number in (0, 2)]
    (damaged[0] / "keys.npy").unlink()
    (damaged[1] / "documents.arrayrecord").write_bytes(b"")
    with pytest.raises(UserError) as caught:
        documents(data_dir).check(reads_contents=reads_contents)
    first, second = str(caught.value).split("; damaged ")
    assert first.startswith(f"damaged {damaged[0]}: keys.npy is missing; delete {damaged[0]} and")
    assert second.startswith(f"{damaged[1]}: documents.arrayrecord has 0 bytes, expected")


def test_a_list_of_raw_files_that_was_altered_or_is_that_of_others(data_dir) -> None:
    (path,) = pool(data_dir).glob("*.files.json")
    path.write_text(path.read_text().replace("files", "flies", 1))
    with pytest.raises(UserError, match=rf"{path} was altered"):
        documents(data_dir).inventory()
    write_sealed(path, {"files": [{"name": "x", "size": 1, "checksum": ""}]})
    with pytest.raises(UserError, match=rf"{path} is the list of other raw files; delete"):
        documents(data_dir).check(reads_contents=False)
