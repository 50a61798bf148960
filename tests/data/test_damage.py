"""Every file of prepared data, damaged in every way: noticed and named, or without any effect."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from codepretrain.data.prepare import prepare
from codepretrain.data.prepared import load_prepared, verify_prepared
from codepretrain.data.reading.documents import open_documents
from codepretrain.data.reading.documents_view import load_documents_view
from codepretrain.data.selection.selected import (
    load_components,
    load_contamination,
    split_documents,
)
from codepretrain.errors import UserError
from codepretrain.files.sealed import seal
from codepretrain.rows.data_dir import is_prepared
from codepretrain.rows.eval_items import read_items
from codepretrain.rows.format import SPLITS
from codepretrain.rows.held_out import open_held_out
from codepretrain.rows.manifest import rows_directory
from codepretrain.rows.store import open_sources
from codepretrain.rows.vocabulary import load_vocabulary

# file: the one that takes its place, of another source, split or task
FILES = {
    "settings.json": "documents/text/manifest.json",
    "documents.json": "selection/manifest.json",
    "documents/text/manifest.json": "documents/code/manifest.json",
    "documents/text/raw files": "documents/code/raw files",
    "documents/text/checksums.json": "documents/code/checksums.json",
    "documents/text/part/files.json": "documents/code/part/files.json",
    "documents/text/part/manifest.json": "documents/code/part/manifest.json",
    "documents/text/part/documents.arrayrecord": "documents/code/part/documents.arrayrecord",
    "documents/text/part/inventory.json": "documents/code/part/inventory.json",
    "documents/text/part/keys.npy": "documents/code/part/keys.npy",
    "selection/files.json": "documents/text/part/files.json",
    "selection/manifest.json": "documents/text/manifest.json",
    "selection/text.npy": "selection/code.npy",
    "selection/text.components.npy": "selection/code.components.npy",
    "selection/contamination.json": "selection/manifest.json",
    "tokenizer/files.json": "evals/files.json",
    "tokenizer/tokenizer.json": "tokenizer/vocabulary.json",
    "tokenizer/vocabulary.json": "evals/manifest.json",
    "rows.json": "settings.json",
    "rows/text/train/files.json": "rows/code/train/files.json",
    "rows/text/train/manifest.json": "rows/text/validation/manifest.json",
    "rows/text/train/rows.index.npy": "rows/code/train/rows.index.npy",
    "rows/text/train/documents.index.npy": "rows/code/train/documents.index.npy",
    "rows/text/train/row_stats.npy": "rows/code/train/row_stats.npy",
    "rows/text/train/part-00000/rows.records": "rows/code/train/part-00000/rows.records",
    "rows/text/train/part-00000/documents.records": (
        "rows/text/validation/part-00000/documents.records"
    ),
    "rows/text/train/part-00000/files.json": "rows/code/train/part-00000/files.json",
    "rows/text/train/part-00000/part.json": "rows/text/validation/part-00000/part.json",
    "rows/text/train/part-00000/rows.index.npy": "rows/code/train/part-00000/rows.index.npy",
    "rows/text/train/part-00000/row_stats.npy": "rows/code/train/part-00000/row_stats.npy",
    "held_out/files.json": "evals/files.json",
    "held_out/manifest.json": "evals/manifest.json",
    "held_out/text.documents.npy": "held_out/code.documents.npy",
    "held_out/text.segments.npy": "held_out/code.segments.npy",
    "evals/files.json": "tokenizer/files.json",
    "evals/manifest.json": "rows/text/train/manifest.json",
    "evals/prose_continuation.jsonl": "evals/code_continuation.jsonl",
}
# Read only to explain a mismatch of settings, and to save the reading of raw files.
_HARMLESS = {"settings.json", "documents/text/checksums.json"}
# Made again, with the same bytes, from what is whole.
_MADE_AGAIN = ("rows.json", "rows/text/train/files.json")
# Read only to join the parts: afterwards damage that keeps the size is found by verification alone.
_OF_PARTS = {"files.json", "part.json", "rows.index.npy", "row_stats.npy"}


def _flipped(contents: bytes) -> bytes:
    middle = len(contents) // 2
    return contents[:middle] + bytes([contents[middle] ^ 1]) + contents[middle + 1 :]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda contents: contents[:-2],
    "halved": lambda contents: contents[: len(contents) // 2],
    "empty": lambda contents: b"",
    "longer": lambda contents: contents + b"\n{}",
    "flipped": _flipped,
    "list": lambda contents: b"[]",
    "null": lambda contents: b"null",
    "no fields": lambda contents: b"{}",
    "not text": lambda contents: b"\xff\xfe\x00",
    "nested": lambda contents: b"[" * 100_000,
}


@pytest.fixture(scope="module")
def damaged_dir(prepared_data, tmp_path_factory) -> Path:
    """A copy of the prepared data; each test damages one file and puts it back."""
    return prepared_data.copy(tmp_path_factory.mktemp("damage") / "data")


@pytest.fixture(scope="module")
def place(prepared_data, damaged_dir) -> Callable[[str], Path]:
    """A function that returns where a file of the table is in the copy."""

    def find(name: str) -> Path:
        match name.split("/"):
            case ["rows", source, split, *rest]:
                rows = rows_directory(prepared_data.data_dir, source, split)
                return damaged_dir.parent.joinpath("rows", rows.name, *rest)
        if not name.startswith("documents/"):
            return damaged_dir / name
        _, source, *rest = name.split("/")
        documents = open_documents(prepared_data.data_dir, source)
        pool = damaged_dir.parent / "documents" / documents.folder.name
        manifest = load_documents_view(prepared_data.data_dir)[source].manifest
        names = {
            "manifest.json": manifest,
            "raw files": manifest.replace(".json", ".files.json"),
            "part": documents.manifest.parts[0].key,
        }
        return pool.joinpath(*(names.get(rest[0], rest[0]), *rest[1:])) if rest else pool

    return find


def use_everything(config, data_dir: Path, quiet) -> dict[str, Any]:
    """Does what the commands do with prepared data, and returns all that they take from it."""
    if not is_prepared(config, data_dir):
        prepare(config, data_dir, num_workers=1, console=quiet)
    taken: dict[str, Any] = {"prepared": load_prepared(config, data_dir)}
    for split in SPLITS:
        for source, store in open_sources(data_dir, config.data.sources, split).items():
            rows = [store[number] for number in range(len(store))]
            taken[f"{source} {split}"] = (
                store.manifest,
                store.stats.tolist(),
                [[column.tolist() for column in vars(row).values()] for row in rows],
                [store.document(n) for n in range(store.manifest.num_documents)],
                list(split_documents(data_dir, source=source, split=split)),
                open_documents(data_dir, source).keys().tolist(),
            )
    held_out = {
        source: manifest
        for (source, split), manifest in taken["prepared"].rows.items()
        if split == "validation"
    }
    for source, found in open_held_out(data_dir, held_out).items():
        taken[f"{source} held out"] = (found.documents.tolist(), found.segments.tolist())
    for source in config.data.sources:
        taken[f"{source} components"] = load_components(data_dir, source).tolist()
    taken["contamination"] = load_contamination(data_dir)
    taken["vocabulary"] = load_vocabulary(data_dir).token_bytes
    for task in taken["prepared"].num_items:
        taken[task] = read_items(data_dir, task)
    return taken


@pytest.fixture(scope="module")
def expected(prepared_data) -> dict[str, Any]:
    return use_everything(prepared_data.config, prepared_data.data_dir, None)


@pytest.fixture
def check(prepared_data, damaged_dir, place, expected, quiet) -> Callable[..., None]:
    """A function that damages a file, uses everything, and puts the file back."""

    def damage(name: str, contents: bytes | None, *, names_file: bool = True) -> None:
        path = place(name)
        whole = path.read_bytes()
        assert contents != whole, "the damage changes the file"
        if contents is None:
            path.unlink()
        else:
            path.write_bytes(contents)
        try:
            if name in _HARMLESS:
                assert use_everything(prepared_data.config, damaged_dir, quiet) == expected
                return
            if _is_of_part(name) and contents is not None and len(contents) == len(whole):
                assert use_everything(prepared_data.config, damaged_dir, quiet) == expected
                with pytest.raises(UserError, match=f"{path.name} was altered"):
                    verify_prepared(prepared_data.config, damaged_dir)
                return
            with pytest.raises(UserError) as caught:
                use_everything(prepared_data.config, damaged_dir, quiet)
            folder = path.parent.parent if "/part-0" in name else path.parent
            assert str(folder) in str(caught.value)
            if names_file:
                assert path.name in str(caught.value)
            with pytest.raises(UserError):
                verify_prepared(prepared_data.config, damaged_dir)
        finally:
            path.write_bytes(whole)

    return damage


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("name", FILES)
def test_damaged(name: str, kind: str, check, place) -> None:
    check(name, DAMAGE[kind](place(name).read_bytes()))


@pytest.mark.parametrize("name", sorted(FILES.keys() - {*_HARMLESS, *_MADE_AGAIN}))
def test_deleted(name: str, check) -> None:
    """Without its list of files a directory counts as incomplete, and is named itself."""
    check(name, None, names_file=not name.endswith("files.json"))


@pytest.mark.parametrize("name", _MADE_AGAIN)
def test_deleted_lists_of_rows_are_made_again(
    name: str, prepared_data, damaged_dir: Path, place, expected, quiet
) -> None:
    path = place(name)
    whole = path.read_bytes()
    path.unlink()
    assert use_everything(prepared_data.config, damaged_dir, quiet) == expected
    assert path.read_bytes() == whole


@pytest.mark.parametrize("name", FILES)
def test_replaced_by_a_file_of_another_source_split_or_task(name: str, check, place) -> None:
    """Another list of files names the files that it does not match."""
    other = place(FILES[name]).read_bytes()
    check(name, other, names_file=not name.endswith("files.json"))


@pytest.mark.parametrize("sealed", [False, True], ids=["as it is", "sealed again"])
@pytest.mark.parametrize("name", [name for name in FILES if name.endswith("/manifest.json")])
def test_each_field_altered(name: str, sealed: bool, check, place) -> None:
    value = json.loads(place(name).read_bytes())
    del value["sha256"]
    for field in value:
        altered = value | {field: _altered(value[field])}
        contents = seal(altered) if sealed else altered | {"sha256": seal(value)["sha256"]}
        check(name, json.dumps(contents).encode())


def test_reversed_entries_of_the_vocabulary(check, damaged_dir: Path) -> None:
    value = json.loads((damaged_dir / "tokenizer/vocabulary.json").read_bytes())
    del value["sha256"]
    value["token_bytes"][3:] = value["token_bytes"][:2:-1]
    check("tokenizer/vocabulary.json", json.dumps(seal(value)).encode())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("documents/text", "documents/code"),
        ("rows/text/train", "rows/code/train"),
        ("rows/text/train", "rows/text/validation"),
        ("rows/text/validation", "rows/code/validation"),
    ],
)
def test_directories_exchanged(
    one: str, other: str, prepared_data, damaged_dir: Path, place, quiet
) -> None:
    _exchange(place(one), place(other))
    try:
        with pytest.raises(UserError, match=rf"{damaged_dir.parent}/(documents|rows)/"):
            use_everything(prepared_data.config, damaged_dir, quiet)
    finally:
        _exchange(place(one), place(other))


@pytest.mark.parametrize("field", ["identity", "settings_hash"])
def test_other_rows_listed(field: str, check, damaged_dir: Path) -> None:
    """A list of rows that is whole in itself, but not the study's."""
    value = json.loads((damaged_dir / "rows.json").read_bytes())
    del value["sha256"]
    value["rows"]["text"]["train"][field] += "x"
    check("rows.json", json.dumps(seal(value)).encode())


def _is_of_part(name: str) -> bool:
    return "/part-0" in name and Path(name).name in _OF_PARTS


def _exchange(one: Path, other: Path) -> None:
    one.rename(one.with_name("spare"))
    other.rename(one)
    one.with_name("spare").rename(other)


def _altered(value: Any) -> Any:
    """Returns another value of the same type."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return value[::-1] + "x"
        case list():
            return value[:-1] if value else [{"name": "x", "num_records": 0}]
        case dict():
            return {key: _altered(item) for key, item in value.items()} or {"x": "y"}
        case None:
            return 1
    raise AssertionError(value)
