"""A part of a source's documents: damage is named, with the part's folder."""

from pathlib import Path

import numpy as np
import pytest

from codepretrain.data.reading import part_plan
from codepretrain.data.reading.document_parts import (
    DocumentsPart,
    load_part,
    load_part_keys,
    read_part_documents,
)
from codepretrain.data.reading.documents import open_documents
from codepretrain.errors import UserError
from codepretrain.files.sealed import read_sealed, write_sealed
from tests.fixtures.documents import read, texts

NUM_DOCUMENTS = 300


@pytest.fixture
def found(tmp_path) -> tuple[Path, DocumentsPart]:
    """The folder and the entry of a part."""
    read(tmp_path / "data" / "study", "s", texts(*map(str, range(NUM_DOCUMENTS))))
    documents = open_documents(tmp_path / "data" / "study", "s")
    (part,) = documents.manifest.parts
    return Path(documents.part_folder(part)), part


def read_all(directory: Path, part: DocumentsPart, source: str = "s") -> list[str]:
    wanted = np.ones(part.num_documents, bool)
    return [d.text for d in read_part_documents(directory, part, source=source, wanted=wanted)]


def test_a_part_has_documents_keys_and_counts(found) -> None:
    directory, part = found
    manifest, entry = load_part(directory, source="s")
    assert entry == part
    assert (manifest.num_documents, manifest.num_bytes) == (300, 10 + 2 * 90 + 3 * 200)
    assert read_all(directory, part) == [str(number) for number in range(300)]
    assert load_part_keys(directory, part)["num_bytes"].sum() == manifest.num_bytes


def test_a_part_without_documents(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(part_plan, "PART_BYTES", 1)
    read(tmp_path / "study", "s", texts("!odd", "x", "!odd", per_shard=1))
    documents = open_documents(tmp_path / "study", "s")
    assert [part.num_documents for part in documents.manifest.parts] == [0, 1, 0]
    assert [document.text for document in documents.read()] == ["x"]
    assert len(documents.keys()) == 1
    documents.check(reads_contents=True)


def test_a_list_of_files_without_the_keys_is_named(found) -> None:
    directory, part = found
    value, _ = read_sealed(directory / "files.json")
    del value["files"]["keys.npy"]
    write_sealed(directory / "files.json", value)
    with pytest.raises(UserError, match=rf"damaged {directory}: keys.npy is missing from"):
        load_part(directory, source="s")
    with pytest.raises(UserError, match=rf"damaged {directory}: keys.npy is missing from"):
        read_all(directory, part)


@pytest.mark.parametrize("read_it", [load_part_keys, read_all])
@pytest.mark.parametrize("name", ["documents.arrayrecord", "keys.npy"])
def test_a_truncated_and_a_deleted_file(found, name, read_it) -> None:
    directory, part = found
    path = directory / name
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=rf"damaged {directory}: {name} has \S+ bytes, expected"):
        read_it(directory, part)
    path.unlink()
    with pytest.raises(UserError, match=rf"damaged {directory}: {name} is missing; delete"):
        read_it(directory, part)


def test_a_flipped_bit_is_noticed_while_reading(found) -> None:
    directory, part = found
    path = directory / "documents.arrayrecord"
    contents = bytearray(path.read_bytes())
    contents[200] ^= 1
    path.write_bytes(contents)
    with pytest.raises(UserError, match=rf"damaged {path}: "):
        read_all(directory, part)


def test_a_flipped_bit_in_the_keys_is_noticed(found) -> None:
    directory, part = found
    contents = bytearray((directory / "keys.npy").read_bytes())
    contents[-1] ^= 1
    (directory / "keys.npy").write_bytes(contents)
    with pytest.raises(UserError, match=rf"damaged {directory}: keys.npy was altered"):
        load_part_keys(directory, part)


def test_documents_of_another_source_are_noticed(found) -> None:
    directory, part = found
    with pytest.raises(UserError, match=r"holds a document of source 's', expected 'other'"):
        read_all(directory, part, source="other")
    with pytest.raises(UserError, match=r"of source 's', expected part \w{24} of 'other'; delete"):
        load_part(directory, source="other")


def test_another_part_in_its_place_is_noticed(found, tmp_path) -> None:
    directory, part = found
    read(tmp_path / "more" / "study", "s", texts("x"))
    (other,) = open_documents(tmp_path / "more" / "study", "s").manifest.parts
    with pytest.raises(UserError, match=r"lists other documents \(sha256 \w{12}\) than"):
        read_all(directory, other)
    with pytest.raises(UserError, match=r"lists other documents"):
        load_part_keys(directory, other)
    moved = directory.rename(directory.with_name("moved"))
    with pytest.raises(UserError, match=rf"is the manifest of part {part.key} .* part moved of"):
        load_part(moved, source="s")
