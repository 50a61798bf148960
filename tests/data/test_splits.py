"""No group and no text is in the training data of one source and held out in another."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codepretrain.config.schema import SourceConfig
from codepretrain.data.document import Document
from codepretrain.data.keys import group_key
from codepretrain.data.readers import make_reader
from codepretrain.data.splits import (
    load_split,
    load_splits_manifest,
    split_documents,
    write_splits,
)
from codepretrain.errors import UserError
from codepretrain.rows.format import SPLITS
from tests.fixtures.documents import Given, read


def given(data_dir: Path, **documents: Sequence[tuple[str, str | None, str]]) -> None:
    for source, some in documents.items():
        read(data_dir, source, Given(documents=tuple(some)))


def members(data_dir: Path, source: str, split: str) -> list[Document]:
    return list(split_documents(data_dir, source=source, split=split))


def shared(data_dir: Path, sources: Sequence[str]) -> tuple[set[str], set[str]]:
    """Groups and texts that are in the training data of any source and held out in any."""
    found = {
        split: [d for source in sources for d in members(data_dir, source, split)]
        for split in SPLITS
    }
    groups, texts = (
        {split: {of(document) for document in found[split]} for split in SPLITS}
        for of in (lambda d: d.group or d.id, lambda d: d.text)
    )
    return groups["train"] & groups["validation"], texts["train"] & texts["validation"]


def test_the_demos_corpora_share_no_group_and_no_text(tmp_path) -> None:
    sources = {"text": "python_prose", "code": "python_code"}
    for source, reader in sources.items():
        options = {"max_bytes": 2_000_000}
        read(
            tmp_path,
            source,
            make_reader(source, SourceConfig(reader=reader, kind="text", options=options)),
        )
    write_splits(tmp_path, sorted(sources), fraction=0.2)
    found = {s: {split: members(tmp_path, s, split) for split in SPLITS} for s in sources}
    files = {s: {d.group for d in found[s]["validation"]} - {None} for s in sources}
    assert len(files["text"] & files["code"]) > 5, "docstrings and code of the same held-out files"
    assert shared(tmp_path, list(sources)) == (set(), set())


def test_a_text_in_two_sources_takes_both_groups_along(tmp_path) -> None:
    n = 60
    given(
        tmp_path,
        a=[(f"a{i}/{k}", f"a{i}", f"text {i} {k} of a") for i in range(n) for k in range(2)],
        b=[(f"b{i}", None, f"text {i} 0 of a") for i in range(n)],
        c=[(f"c{i}/{k}", f"b{i}", f"text {i} {k} of c") for i in range(n) for k in range(2)],
    )
    write_splits(tmp_path, ["a", "b", "c"], fraction=0.5)
    assert shared(tmp_path, ["a", "b", "c"]) == (set(), set())
    held_out = {d.id[1:] for d in members(tmp_path, "b", "validation")}
    assert 15 < len(held_out) < 45
    for source in ("a", "c"):
        names = {d.id[1:].split("/")[0] for d in members(tmp_path, source, "validation")}
        assert names == held_out


def test_the_group_of_a_dropped_duplicate_follows_the_text_that_was_kept(tmp_path) -> None:
    documents = [(f"kept{i}", f"kept{i}", f"text {i}") for i in range(60)]
    documents += [(f"twin{i}", f"twin{i}", f"text {i}") for i in range(60)]
    given(tmp_path, a=documents, b=[(f"b{i}", f"twin{i}", f"other {i}") for i in range(60)])
    write_splits(tmp_path, ["a", "b"], fraction=0.5)
    kept, twins = (
        {d.id.lstrip("keptbwin") for d in members(tmp_path, source, "validation")}
        for source in ("a", "b")
    )
    assert kept == twins
    assert 15 < len(kept) < 45


def test_more_joins_are_followed(tmp_path) -> None:
    given(tmp_path, a=[(f"{i}", None, f"text {i}") for i in range(200)])
    near = np.array(
        [
            [group_key(Document(id=str(i), text="", source="a", origin="")) for i in pair]
            for pair in ((i, i + 100) for i in range(100))
        ],
        np.uint64,
    )
    write_splits(tmp_path, ["a"], fraction=0.5, more_joins=[near])
    held_out = load_split(tmp_path, source="a", split="validation")
    assert np.array_equal(held_out[:100], held_out[100:])
    assert 25 < held_out[:100].sum() < 75
    assert load_splits_manifest(tmp_path)[0].num_components == 100


def test_the_share_grows_with_the_fraction_and_order_does_not_matter(tmp_path) -> None:
    documents = [(f"{i}", None, f"text {i}") for i in range(2000)]
    found = {}
    for name, fraction, some in (
        ("small", 0.05, documents),
        ("large", 0.2, documents),
        ("reversed", 0.2, documents[::-1]),
        ("none", 0.0, documents),
    ):
        given(tmp_path / name, a=some)
        write_splits(tmp_path / name, ["a"], fraction=fraction)
        found[name] = {d.id for d in members(tmp_path / name, "a", "validation")}
        train = {d.id for d in members(tmp_path / name, "a", "train")}
        assert train | found[name] == {name for name, _, _ in documents}
        assert not train & found[name]
    assert 60 < len(found["small"]) < 140
    assert 320 < len(found["large"]) < 480
    assert found["small"] < found["large"] == found["reversed"]
    assert found["none"] == set()


def test_the_split_of_a_source_does_not_depend_on_unrelated_sources(tmp_path) -> None:
    a, b = ([(f"{s}{i}", None, f"{s} {i}") for i in range(300)] for s in "ab")
    given(tmp_path / "one", a=a)
    given(tmp_path / "two", a=a, b=b)
    write_splits(tmp_path / "one", ["a"], fraction=0.3)
    write_splits(tmp_path / "two", ["a", "b"], fraction=0.3)
    hashes = [load_splits_manifest(tmp_path / name)[1]["a"] for name in ("one", "two")]
    assert hashes[0] == hashes[1]


def test_a_group_larger_than_the_held_out_share_is_trained_on(tmp_path) -> None:
    documents: list[Any] = [(f"big{i}", "big", f"big {i}") for i in range(400)]
    documents += [(f"{i}", None, f"text {i}") for i in range(400)]
    for fraction in (0.45, 0.55):  # one of them would hold out a group of this hash, or another
        given(tmp_path / str(fraction), a=documents)
        write_splits(tmp_path / str(fraction), ["a"], fraction=fraction)
    manifest, _ = load_splits_manifest(tmp_path / "0.45")
    assert manifest.num_too_large == 400
    assert sum(manifest.num_documents["a"].values()) == 800
    assert not any(d.group for d in members(tmp_path / "0.45", "a", "validation"))
    assert load_splits_manifest(tmp_path / "0.55")[0].num_too_large == 0


def test_counts_add_up(prepared_data) -> None:
    manifest, hashes = load_splits_manifest(prepared_data.data_dir)
    assert hashes.keys() == manifest.num_documents.keys() == {"code", "text"}
    for source in hashes:
        for split in SPLITS:
            documents = members(prepared_data.data_dir, source, split)
            assert len(documents) == manifest.num_documents[source][split] > 3
            assert sum(d.num_bytes for d in documents) == manifest.num_bytes[source][split]
    assert manifest.num_components == 180
    assert (manifest.num_joins, manifest.num_too_large) == (0, 0)


def test_a_source_without_training_documents_is_an_error(tmp_path) -> None:
    given(tmp_path, a=[("1", "g", "x")], b=[(f"{i}", None, f"{i}") for i in range(9)])
    with pytest.raises(UserError, match=r"sources.a has no training documents: all 1 are held"):
        write_splits(tmp_path, ["a", "b"], fraction=0.9999999)
    assert not (tmp_path / "splits").exists()


def test_another_fraction_is_named(prepared_data) -> None:
    from codepretrain.data.prepared import check_splits

    config = prepared_data.config
    data = dataclasses.replace(config.data, validation_fraction=0.3)
    message = (
        r"splits was made with validation_fraction 0.2, config.data.validation_fraction is 0.3"
    )
    with pytest.raises(UserError, match=message):
        check_splits(dataclasses.replace(config, data=data), prepared_data.data_dir)
