"""Texts in the documents of a real selection, read as a stream over several parts."""

import tracemalloc
from pathlib import Path

import pytest
from etils import epath

from codepretrain.data.description.find_text import Hit, find_text, num_bytes_to_search
from codepretrain.data.description.show_document import show_document
from codepretrain.errors import UserError
from codepretrain.files.atomic import write_bytes
from codepretrain.files.storage import StrPath
from tests.fixtures.selecting import given, select, selecting_study

A: list[tuple[str, str | None, str]] = [
    ("0", None, "first line\nnaïve 東京 needle, needle"),
    ("1", None, "nothing"),
    ("2", None, "needle"),
    ("3", None, "needle"),
    ("4", None, "Needle \x1b[31m needl e"),
]
B: list[tuple[str, str | None, str]] = [("0", "g", "x" * 100 + "needle" + "y" * 100)]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "study"
    given(folder, {"a": A, "b": B}, per_shard=2)
    select(folder, "a", "b")
    return folder


def find(folder: StrPath, text: str, *sources: str, **fields) -> list[Hit]:
    return list(find_text(folder, sources or ("a", "b"), text, **fields))


def test_hits_by_hand(data_dir: Path) -> None:
    hits = find(data_dir, "needle")
    assert [(hit.place.source, hit.document.id) for hit in hits] == [
        ("a", "0"),
        ("a", "2"),
        ("a", "3"),
        ("b", "0"),
    ]
    first = hits[0]
    assert (first.offset, first.line, first.count) == (
        len("first line\nnaïve 東京 ".encode()),
        2,
        2,
    )
    assert first.document.text.encode()[first.offset :].startswith(b"needle")
    assert (first.before, first.after) == ("first line\nnaïve 東京 ", ", needle")
    assert (hits[-1].before, hits[-1].after) == ("x" * 60, "y" * 60)
    assert {hit.place.fate for hit in hits[1:3]} == {"train", "exact_duplicate"}
    for hit in hits:
        assert hit.document.text == (A if hit.place.source == "a" else B)[hit.place.number][2]


def test_one_source_or_split_only(data_dir: Path) -> None:
    assert [hit.place.source for hit in find(data_dir, "needle", "b")] == ["b"]
    [dropped] = find(data_dir, "needle", split="dropped")
    assert (dropped.place.fate, dropped.place.number_in_split) == ("exact_duplicate", 0)
    assert len(find(data_dir, "needle", split="train")) == 3
    assert find(data_dir, "needle", split="validation") == []


def test_letters_spaces_and_control_characters_must_be_equal(data_dir: Path) -> None:
    assert [hit.document.id for hit in find(data_dir, "\x1b[31m")] == ["4"]
    assert [hit.document.id for hit in find(data_dir, "line\nna")] == ["0"]
    assert find(data_dir, "NEEDLE") == []
    assert find(data_dir, "京都") == []
    with pytest.raises(UserError, match="TEXT: expected at least one character"):
        find(data_dir, "")


def test_progress_adds_up_to_all_bytes(data_dir: Path) -> None:
    advanced: list[int] = []
    find(data_dir, "needle", advance=advanced.append)
    assert len(advanced) == len(A) + len(B)
    assert sum(advanced) == num_bytes_to_search(data_dir, ["a", "b"])


def test_reading_stops_with_the_hits_that_are_taken(data_dir: Path) -> None:
    advanced: list[int] = []
    hits = find_text(data_dir, ["a", "b"], "needle", advance=advanced.append)
    next(hits)
    assert advanced == []


def test_documents_on_an_object_store(data_dir: Path, memory: epath.Path) -> None:
    for path in data_dir.parent.rglob("*"):
        if path.is_file():
            write_bytes(memory / path.relative_to(data_dir.parent), path.read_bytes())
    stored = memory / data_dir.name
    assert find(stored, "needle") == find(data_dir, "needle")
    for number in range(len(A)):
        config = selecting_study(["a", "b"])
        local, remote = (show_document(config, d, "a", number) for d in (data_dir, stored))
        assert local == remote


def test_memory_does_not_grow_with_the_documents(tmp_path: Path) -> None:
    """40 MB of documents, of which at most a batch is in memory."""
    folder = tmp_path / "data" / "study"
    text = "".join(f"{number} " for number in range(3000))
    given(folder, {"a": [(str(n), None, f"{n} {text}") for n in range(3000)]}, per_shard=500)
    select(folder, "a")
    tracemalloc.start()
    try:
        assert find(folder, "no such text", "a") == []
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert num_bytes_to_search(folder, ["a"]) > 40e6
    assert peak < 16e6
