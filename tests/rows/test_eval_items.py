from pathlib import Path

import pytest

from codepretrain.data.items.eval_items import write_items
from codepretrain.errors import UserError
from codepretrain.files.atomic import write_text
from codepretrain.files.directory import whole_directory
from codepretrain.files.sealed import write_sealed
from codepretrain.rows.eval_items import (
    ItemsManifest,
    has_items,
    items_directory,
    load_items_manifest,
    read_items,
)

MANIFEST = ItemsManifest(
    format_version=2,
    settings_hash="s",
    tokenizer_hash="t",
    vocabulary_hash="v",
    documents_hashes={"text": "d"},
    num_items={"sums": 2},
)


def write(data_dir: Path, text: str, **changes: object) -> None:
    with whole_directory(items_directory(data_dir)) as folder:
        write_text(folder / "sums.jsonl", text)
        write_sealed(folder / "manifest.json", MANIFEST.to_json() | changes)


def test_items_are_read_with_their_ids(tmp_path: Path) -> None:
    assert not has_items(tmp_path)
    write_items(items_directory(tmp_path), {"sums": [{"x": 1}, {"x": 2}]}, MANIFEST)
    assert has_items(tmp_path)
    assert read_items(tmp_path, "sums") == [
        {"id": "sums/00000", "x": 1},
        {"id": "sums/00001", "x": 2},
    ]
    assert load_items_manifest(tmp_path)[0] == MANIFEST


def test_missing_items_and_unknown_tasks(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no task items at .*evals: run `codepretrain prepare`"):
        read_items(tmp_path, "sums")
    write(tmp_path, "{}\n{}\n")
    with pytest.raises(UserError, match=r"evals has no items of task 'words', only of sums"):
        read_items(tmp_path, "words")


@pytest.mark.parametrize(
    ("text", "changes", "message"),
    [
        ("{}\n{\n", {}, "sums.jsonl line 2: Expecting property name"),
        ("{}\n[]\n", {}, "sums.jsonl line 2: expected a JSON object"),
        ("[" * 99_999 + "\n", {}, "sums.jsonl line 1: .*recursion"),
        ("{}\n", {}, "sums.jsonl: expected 2 items, found 1"),
        ("{}\n{}\n", {"format_version": 7}, "manifest.json has format 7, this version reads 2"),
        ("{}\n{}\n", {"num_items": []}, "manifest.json.num_items: expected a mapping"),
    ],
)
def test_what_no_writer_wrote_is_named(tmp_path: Path, text, changes, message) -> None:
    write(tmp_path, text, **changes)
    with pytest.raises(UserError, match=f"{message}.*; delete .*evals and run"):
        read_items(tmp_path, "sums")
