import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from codepretrain.errors import UserError
from codepretrain.files.sealed import write_sealed
from codepretrain.files.storage import remove_tree
from codepretrain.rows.manifest import (
    RowsManifest,
    has_rows,
    load_manifest,
    open_rows,
    rows_directory,
)
from codepretrain.rows.part import Part
from tests.fixtures.sources import write_source


def load(directory) -> RowsManifest:
    return load_manifest(directory, source="text", split="train")


def test_it_survives_json_and_its_hash_sees_what_training_sees(tmp_path: Path) -> None:
    manifest = write_source(tmp_path, "text", 5)
    value = json.loads(json.dumps(manifest.to_json()))
    copy = RowsManifest.from_json(value, path="p", remedy="")
    assert copy == manifest == load(rows_directory(tmp_path, "text", "train"))
    assert copy.hash == manifest.hash
    assert manifest.efficiency == 6 / 8
    no_part = {"parts", "identity", "documents_hash", "vocabulary_hash"}
    for field in dataclasses.fields(RowsManifest):
        value = getattr(manifest, field.name)
        other: Any = () if field.name == "parts" else value + type(value)(1)
        changed = dataclasses.replace(manifest, **{field.name: other})
        assert (changed.hash == manifest.hash) == (field.name in no_part), field.name


def test_absent_rows_are_told_from_damaged_ones(tmp_path: Path) -> None:
    directory = rows_directory(tmp_path, "text", "train")
    assert not has_rows(directory)
    with pytest.raises(UserError, match=r"no prepared rows at .*codepretrain prepare"):
        load(directory)
    write_source(tmp_path, "text", 5)
    assert has_rows(directory)
    (directory / "manifest.json").unlink()
    with pytest.raises(UserError, match=r"damaged .*/text/train: manifest.json is missing; delete"):
        load(directory)


def part(num_rows: int, num_documents: int) -> dict[str, Any]:
    return vars(Part("part-00000", num_rows, num_documents, "ab" * 32))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 99}, "has format 99, this version reads 3"),
        ({"format_version": None}, "has format None, this version reads 3"),
        ({"num_rows": "5"}, "num_rows: expected a whole number, got str '5'"),
        ({"color": 1}, "color: no such field"),
        ({"num_target_tokens": 29}, "num_target_tokens is 29, expected 30"),
        ({"num_padding": 11}, "num_padding is 11, expected 10"),
        ({"parts": []}, "num_rows of the parts is 0, expected 5"),
        ({"parts": [part(5, 6)]}, "num_documents of the parts is 6, expected 5"),
        ({"parts": [part(5, 5)]}, r"rows_sha256 is \w{12}, expected \w{12} by its parts"),
        ({"parts": None}, "parts: expected a list, got None"),
    ],
)
def test_contents_that_no_writer_wrote_are_named(tmp_path, changes, message) -> None:
    value = write_source(tmp_path, "text", 5).to_json() | changes
    with pytest.raises(UserError, match=f"^m.json.*{message}.*; the remedy$"):
        RowsManifest.from_json(value, path="m.json", remedy="the remedy")


def test_a_missing_field_is_named(tmp_path) -> None:
    value = write_source(tmp_path, "text", 5).to_json()
    del value["num_rows"]
    with pytest.raises(UserError, match=r"^m.json.num_rows is missing: expected a whole number; r"):
        RowsManifest.from_json(value, path="m.json", remedy="r")


def test_an_altered_manifest_is_noticed_even_if_sealed_again(tmp_path: Path) -> None:
    manifest = write_source(tmp_path, "text", 5)
    path = rows_directory(tmp_path, "text", "train") / "manifest.json"
    write_sealed(path, manifest.to_json() | {"rows_sha256": "0" * 64})
    with pytest.raises(UserError, match=r"damaged .*/text/train: manifest.json was altered"):
        load(path.parent)


@pytest.mark.parametrize("name", ["rows.index.npy", "documents.index.npy", "row_stats.npy"])
def test_opening_reads_indexes_and_statistics(tmp_path: Path, name: str) -> None:
    write_source(tmp_path, "text", 5)
    directory = rows_directory(tmp_path, "text", "train")
    contents = bytearray((directory / name).read_bytes())
    contents[-1] ^= 1
    (directory / name).write_bytes(contents)
    load(directory)  # counts alone need none of them
    with pytest.raises(UserError, match=f"damaged .*/text/train: {name} was altered"):
        open_rows(directory, source="text", split="train")


def test_another_sources_directory_is_named(tmp_path: Path) -> None:
    write_source(tmp_path, "code", 5)
    directory = rows_directory(tmp_path, "text", "train")
    Path(directory.parent).mkdir(parents=True)
    Path(rows_directory(tmp_path, "code", "train")).rename(directory)
    message = r"is the manifest of source 'code' \(train\), expected 'text' \(train\)"
    with pytest.raises(UserError, match=message):
        load(directory)
    remove_tree(directory)
    assert not has_rows(directory)
