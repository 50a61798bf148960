import numpy as np

from codepretrain.data.document import Document
from codepretrain.data.keys import group_key
from codepretrain.data.reading.inventory import Inventory, InventoryEntry
from codepretrain.data.selection.same_records import same_record_joins


def groups(source: str, *names: tuple[str, str | None]) -> np.ndarray:
    """Keys of documents with an id and a group."""
    documents = [
        Document(id=name, group=group, source=source, text="x", origin="o") for name, group in names
    ]
    return np.array([group_key(document) for document in documents], np.uint64)


def inventory(*files: tuple[str, str]) -> Inventory:
    return Inventory(
        files=tuple(InventoryEntry(name=name, size=1, checksum=found) for name, found in files)
    )


def test_documents_of_one_id_are_joined_if_their_sources_share_a_file() -> None:
    found = {
        "a": groups("a", ("f:1", None), ("f:2", None), ("f:3", "g")),
        "b": groups("b", ("f:9", None), ("f:2", None), ("f:3", "g"), ("f:1", "h")),
        "c": groups("c", ("f:1", None), ("f:2", None)),
    }
    shared = inventory(("e", "0"), ("f", "1"))
    inventories = {"a": shared, "b": inventory(("f", "1")), "c": inventory(("f", "2"))}
    joins = same_record_joins(found, inventories)
    assert joins.dtype == np.uint64
    assert joins.tolist() == [[found["a"][1], found["b"][1]]]
    joins = same_record_joins(found, dict.fromkeys("abc", shared))
    expected = [("a", 1, "b", 1), ("a", 0, "c", 0), ("a", 1, "c", 1), ("b", 1, "c", 1)]
    assert joins.tolist() == [[found[s][i], found[t][k]] for s, i, t, k in expected]


def test_files_that_could_not_be_read_are_not_shared() -> None:
    found = {source: groups(source, ("f:1", None)) for source in "ab"}
    joins = same_record_joins(found, dict.fromkeys("ab", inventory(("f", ""))))
    assert joins.shape == (0, 2)


def test_an_empty_file_in_two_corpora_does_not_join_their_other_files() -> None:
    found = {source: groups(source, ("f:1", None)) for source in "ab"}
    empty = InventoryEntry(name="e", size=0, checksum="0")
    files = [InventoryEntry(name="f", size=9, checksum=source) for source in "ab"]
    inventories = {s: Inventory(files=(empty, file)) for s, file in zip("ab", files, strict=True)}
    assert same_record_joins(found, inventories).shape == (0, 2)
