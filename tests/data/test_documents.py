import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from array_record.python.array_record_module import ArrayRecordWriter

from codepretrain.data.document import Document
from codepretrain.data.documents import (
    DOCUMENTS,
    FORMAT_VERSION,
    DocumentsManifest,
    documents_directory,
    has_documents,
    load_documents_keys,
    load_documents_manifest,
    read_documents,
    verify_documents,
)
from codepretrain.data.inventory import INVENTORY, Inventory
from codepretrain.data.keys import KEYS, KeysWriter, text_digest
from codepretrain.errors import UserError
from codepretrain.files.directory import whole_directory
from codepretrain.files.sealed import read_sealed, write_sealed

NUM_DOCUMENTS = 300


def write(directory, *, source: str = "s", of: str = "s", **changes: object) -> None:
    """Documents of source `of`, under a manifest of `source`."""
    with whole_directory(directory) as folder:
        writer, keys = ArrayRecordWriter(str(folder / DOCUMENTS), "group_size:64"), KeysWriter()
        for number in range(NUM_DOCUMENTS):
            document = Document(id=f"d{number}", text="x", source=of, origin="o")
            writer.write(json.dumps(dataclasses.asdict(document)).encode())
            keys.keep(document, text_digest(b"x"))
        writer.close()
        keys.save(folder)
        write_sealed(folder / INVENTORY, Inventory(files=()).to_json())
        manifest = DocumentsManifest(
            format_version=FORMAT_VERSION,
            source=source,
            settings_hash="h",
            num_documents=NUM_DOCUMENTS,
            num_bytes=NUM_DOCUMENTS,
            skipped={},
            skipped_examples={},
            num_files=0,
            was_capped=False,
        )
        write_sealed(folder / "manifest.json", manifest.to_json() | changes)


def ids(directory, wanted: np.ndarray | None = None) -> list[str]:
    return [document.id for document in read_documents(directory, source="s", wanted=wanted)]


def test_documents_are_read_in_order(tmp_path) -> None:
    directory = documents_directory(tmp_path, "s")
    assert not has_documents(directory)
    write(directory)
    assert has_documents(directory)
    assert ids(directory) == [f"d{number}" for number in range(300)]
    wanted = np.zeros(300, bool)
    wanted[[0, 255, 299]] = True
    assert ids(directory, wanted) == ["d0", "d255", "d299"]
    assert ids(directory, ~wanted) == [f"d{n}" for n in range(300) if n not in (0, 255, 299)]
    verify_documents(directory)


def test_the_hash_sees_the_documents_and_nothing_else(tmp_path) -> None:
    write(tmp_path / "a")
    write(tmp_path / "b", was_capped=True)
    write(tmp_path / "c", of="other")
    hashes = [load_documents_manifest(tmp_path / name, source="s")[1] for name in "abc"]
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_list_of_files_without_the_keys_is_named(tmp_path) -> None:
    write(tmp_path / "s")
    path = tmp_path / "s" / "files.json"
    value, _ = read_sealed(path)
    del value["files"]["keys.npy"]
    write_sealed(path, value)
    with pytest.raises(UserError, match=r"damaged .*s: keys.npy is missing from"):
        load_documents_manifest(tmp_path / "s", source="s")


def test_missing_documents(tmp_path) -> None:
    with pytest.raises(UserError, match=r"no documents at .*codepretrain prepare"):
        load_documents_manifest(tmp_path, source="s")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 9}, "has format 9, this version reads 2"),
        ({"num_documents": None}, "num_documents: expected"),
        ({"was_capped": "no"}, "was_capped: expected True or False"),
        ({"source": "other"}, "is the manifest of source 'other', expected 's'"),
    ],
)
def test_a_manifest_that_does_not_match_is_named(tmp_path, changes, message) -> None:
    write(tmp_path / "s", **changes)
    with pytest.raises(UserError, match=f"s/manifest.json.*{message}.*; delete"):
        load_documents_manifest(tmp_path / "s", source="s")


def test_a_truncated_and_a_deleted_file(tmp_path) -> None:
    write(tmp_path / "s")
    path = tmp_path / "s" / "documents.arrayrecord"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(
        UserError, match=r"damaged .*s: documents.arrayrecord has \S+ bytes, expected"
    ):
        ids(tmp_path / "s")
    path.unlink()
    with pytest.raises(UserError, match=r"damaged .*s: documents.arrayrecord is missing"):
        ids(tmp_path / "s")


def test_a_flipped_bit_is_noticed_while_reading(tmp_path) -> None:
    write(tmp_path / "s")
    path = tmp_path / "s" / "documents.arrayrecord"
    contents = bytearray(path.read_bytes())
    contents[200] ^= 1
    path.write_bytes(contents)
    with pytest.raises(UserError, match=r"damaged .*documents.arrayrecord: "):
        ids(tmp_path / "s")
    with pytest.raises(UserError, match=r"damaged .*s: documents.arrayrecord was altered"):
        verify_documents(tmp_path / "s")


def test_documents_of_another_source_are_noticed(tmp_path) -> None:
    write(tmp_path / "s", of="other")
    with pytest.raises(UserError, match=r"holds a document of source 'other', expected 's'"):
        ids(tmp_path / "s")


def test_fewer_documents_than_counted(tmp_path) -> None:
    write(tmp_path / "s", num_documents=301)
    with pytest.raises(
        UserError, match=r"documents.arrayrecord: expected 301 documents, found 300"
    ):
        ids(tmp_path / "s")


def test_names_are_below_the_data_directory() -> None:
    assert documents_directory("d", "s") == Path("d/documents/s")


def test_other_keys_than_counted(tmp_path) -> None:
    write(tmp_path / "s", skipped={"exact duplicates": 1})
    with pytest.raises(
        UserError, match=r"damaged .*keys.npy: expected \(301,\) .*, found \(300,\)"
    ):
        load_documents_keys(tmp_path / "s", source="s")


def test_a_flipped_bit_in_the_keys_is_noticed(tmp_path) -> None:
    write(tmp_path / "s")
    path = tmp_path / "s" / KEYS
    contents = bytearray(path.read_bytes())
    contents[-1] ^= 1
    path.write_bytes(contents)
    with pytest.raises(UserError, match=r"damaged .*s: keys.npy was altered"):
        load_documents_keys(tmp_path / "s", source="s")
