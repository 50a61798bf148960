"""Items of the local tasks, as `prepare` wrote them to `<data_dir>/evals/`.

`<task>.jsonl` has one JSON object per line; `manifest.json` records what they were made from.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from etils import epath

from codepretrain.errors import DamageError, UserError
from codepretrain.files.directory import is_whole
from codepretrain.files.storage import StrPath, read_bytes
from codepretrain.rows.verify import check_contents, folder_remedy, read_manifest

FORMAT_VERSION = 2


@dataclass(frozen=True, kw_only=True)
class ItemsManifest:
    """num_items: by task. documents_hashes: of each source's held-out documents."""

    format_version: int
    settings_hash: str
    tokenizer_hash: str
    vocabulary_hash: str
    documents_hashes: Mapping[str, str]
    num_items: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def items_directory(data_dir: StrPath) -> epath.Path:
    """Returns where the items are below the study's data directory."""
    return epath.Path(data_dir) / "evals"


def items_name(task: str) -> str:
    """Returns the file name of a task's items."""
    return f"{task}.jsonl"


def has_items(data_dir: StrPath) -> bool:
    """Returns whether the items were prepared."""
    return is_whole(items_directory(data_dir))


def load_items_manifest(data_dir: StrPath) -> tuple[ItemsManifest, Mapping[str, str]]:
    """Returns the manifest of the items, and the SHA-256 of every file by name.

    Raises:
      UserError: the items were not prepared, or a file is missing, truncated or damaged.
    """
    directory = items_directory(data_dir)
    return read_manifest(ItemsManifest, directory, "task items", version=FORMAT_VERSION)


def read_items(data_dir: StrPath, task: str) -> list[dict[str, Any]]:
    """Returns all items of a task, after verifying its file.

    Raises:
      UserError: the items were not prepared, there is no such task, or its file is damaged.
    """
    manifest, hashes = load_items_manifest(data_dir)
    directory = items_directory(data_dir)
    remedy = folder_remedy(directory)
    if task not in manifest.num_items:
        raise UserError(
            f"{directory} has no items of task {task!r}, only of {', '.join(manifest.num_items)}; "
            f"{remedy}"
        )
    check_contents(directory, hashes, [items_name(task)], remedy=remedy)
    path = directory / items_name(task)
    items = []
    for number, line in enumerate(read_bytes(path).splitlines(), start=1):
        try:
            item = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DamageError(f"damaged {path} line {number}: {error}; {remedy}") from error
        if not isinstance(item, dict):
            raise DamageError(f"damaged {path} line {number}: expected a JSON object; {remedy}")
        items.append(item)
    if len(items) != manifest.num_items[task]:
        raise DamageError(
            f"damaged {path}: expected {manifest.num_items[task]} items, found {len(items)}; "
            f"{remedy}"
        )
    return items
