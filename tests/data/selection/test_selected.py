"""Loading what was selected, and damage to it."""

import numpy as np
import pytest

from codepretrain.data.reading.documents import open_documents
from codepretrain.data.selection.document_codes import CODES
from codepretrain.data.selection.selected import (
    code_counts,
    load_components,
    load_selection,
    load_selection_manifest,
    load_split,
    selection_directory,
    selection_hash,
    split_hashes_of,
)
from codepretrain.errors import UserError
from codepretrain.rows.format import SPLITS
from tests.fixtures.selecting import members


def test_counts_of_prepared_data_add_up(prepared_data) -> None:
    manifest = load_selection_manifest(prepared_data.data_dir)
    assert manifest.num_documents.keys() == {"code", "text"}
    assert manifest.num_documents["text"].keys() == set(CODES)
    for source in manifest.num_documents:
        codes = load_selection(prepared_data.data_dir, source)
        for split in SPLITS:
            documents = members(prepared_data.data_dir, source, split)
            assert len(documents) == manifest.num_documents[source][split] > 3
            assert sum(d.num_bytes for d in documents) == manifest.num_bytes[source][split]
            chosen = load_split(prepared_data.data_dir, source=source, split=split)
            assert np.array_equal(chosen, codes == CODES.index(split))
    assert sum(sum(counts.values()) for counts in manifest.num_documents.values()) == 180
    assert manifest.num_components == 180
    assert manifest.num_too_large == 0


def test_each_held_out_document_has_its_component(prepared_data) -> None:
    """No groups are joined here, so a component is the document's group."""
    for source in ("code", "text"):
        keys = open_documents(prepared_data.data_dir, source).keys()
        held_out = load_split(prepared_data.data_dir, source=source, split="validation")
        components = load_components(prepared_data.data_dir, source)
        assert np.array_equal(components, keys["group"][held_out])


def test_a_split_hash_changes_with_the_documents_and_with_the_members_only() -> None:
    train, validation, near, contaminated = (
        CODES.index(name) for name in ("train", "validation", "near_duplicate", "contaminated")
    )
    codes = np.array([train, validation, near, train], np.uint8)
    hashes = split_hashes_of(codes, "d")
    other_reason = np.array([train, validation, contaminated, train], np.uint8)
    assert split_hashes_of(other_reason, "d") == hashes
    without = np.array([train, validation, near, near], np.uint8)
    assert split_hashes_of(without, "d")["validation"] == hashes["validation"]
    assert split_hashes_of(without, "d")["train"] != hashes["train"]
    assert not set(split_hashes_of(codes, "e").values()) & set(hashes.values())


def test_counts_of_codes() -> None:
    codes = np.array([0, 1, 1, 5], np.uint8)
    sizes = np.array([2**31, 2**31, 2**31, 7], np.uint32)
    found = code_counts(codes, sizes)
    assert found["validation"] == 2**32
    assert found["over_limit"] == 7
    assert found["contaminated"] == 0
    assert list(found) == list(CODES)


def test_a_source_that_was_not_selected(prepared_data) -> None:
    for load in (
        lambda: load_selection(prepared_data.data_dir, "other"),
        lambda: load_components(prepared_data.data_dir, "other"),
        lambda: selection_hash(prepared_data.data_dir, "other", "train"),
    ):
        with pytest.raises(UserError, match=r"selection has no selection of source 'other'; del"):
            load()


def test_codes_that_do_not_match_the_manifest(prepared_data, tmp_path, monkeypatch) -> None:
    from codepretrain.data.selection import selected as selection_module

    data_dir = prepared_data.copy(tmp_path / "data")
    path = selection_directory(data_dir) / "text.npy"
    codes = np.load(path)
    codes[0] = 1 - codes[0]
    np.save(path, codes)
    with pytest.raises(UserError, match=r"text.npy was altered: its sha256 differs"):
        load_selection(data_dir, "text")
    monkeypatch.setattr(selection_module, "check_contents", lambda *_, **__: None)
    with pytest.raises(UserError, match=r"damaged .*text.npy: expected .* documents, found"):
        load_selection(data_dir, "text")
