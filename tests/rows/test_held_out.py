import dataclasses
from pathlib import Path

import numpy as np
import pytest

from codepretrain.errors import UserError
from codepretrain.files.storage import remove_tree
from codepretrain.rows.held_out import (
    HeldOutDocuments,
    check_held_out,
    has_held_out,
    held_out_directory,
    load_held_out_manifest,
    open_held_out,
    write_held_out,
)
from codepretrain.rows.manifest import RowsManifest


@pytest.fixture
def rows(prepared_data) -> dict[str, RowsManifest]:
    """The manifests of the held-out rows by source."""
    return {
        source: manifest
        for (source, split), manifest in prepared_data.data.rows.items()
        if split == "validation"
    }


@pytest.fixture
def found(prepared_data, rows) -> dict[str, HeldOutDocuments]:
    return open_held_out(prepared_data.data_dir, rows)


def test_what_is_written_is_opened(tmp_path: Path, rows, found) -> None:
    assert not has_held_out(tmp_path)
    manifest = write_held_out(tmp_path, found, rows, settings_hash="s")
    assert has_held_out(tmp_path)
    assert load_held_out_manifest(tmp_path)[0] == manifest
    for source, again in open_held_out(tmp_path, rows).items():
        assert np.array_equal(again.documents, found[source].documents)
        assert np.array_equal(again.segments, found[source].segments)
        assert manifest.num_documents[source] == rows[source].num_documents == len(again)
        assert manifest.num_clusters[source] == len(again), "no groups are joined here"


def test_on_an_object_store(memory, rows, found) -> None:
    write_held_out(memory, found, rows, settings_hash="s")
    for source, again in open_held_out(memory, rows).items():
        assert np.array_equal(again.documents, found[source].documents)


def test_other_rows_or_settings(tmp_path: Path, rows, found) -> None:
    write_held_out(tmp_path, found, rows, settings_hash="s")
    check_held_out(rows, tmp_path, settings_hash="s")
    with pytest.raises(UserError, match="held_out was prepared under other settings: delete it"):
        check_held_out(rows, tmp_path, settings_hash="other")
    other = {**rows, "code": dataclasses.replace(rows["code"], rows_sha256="0" * 64)}
    message = "does not list the documents of the held-out rows of source 'code': delete it"
    with pytest.raises(UserError, match=message):
        check_held_out(other, tmp_path, settings_hash="s")
    with pytest.raises(UserError, match=message):
        open_held_out(tmp_path, other)


def test_missing_and_damaged(tmp_path: Path, rows, found) -> None:
    with pytest.raises(UserError, match=r"no list of held-out documents at .*held_out: run `code"):
        open_held_out(tmp_path, rows)
    write_held_out(tmp_path, found, rows, settings_hash="s")
    path = held_out_directory(tmp_path) / "code.segments.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(UserError, match=r"code\.segments\.npy was altered: its sha256 differs"):
        open_held_out(tmp_path, rows)
    remove_tree(held_out_directory(tmp_path))
    write_held_out(tmp_path, {"text": found["text"]}, rows, settings_hash="s")
    with pytest.raises(UserError, match=r"code\.documents\.npy is missing from files\.json"):
        open_held_out(tmp_path, rows)
