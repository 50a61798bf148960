"""Documents of a real selection: used, held out, duplicates, contaminated, over the limit."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from codepretrain.config.schema import DecontaminationConfig, DeduplicationConfig, StudyConfig
from codepretrain.data.description.show_document import Shown, show_document
from codepretrain.data.selection.selected import load_selection
from codepretrain.errors import UserError
from tests.fixtures.documents import Given, read
from tests.fixtures.selecting import given, select, selecting_study

WORDS = [f"word{number}" for number in range(60)]
LONG = " ".join(WORDS)
ANSWER = "an answer of an evaluation set that nobody may ever train any model on"
A: list[tuple[str, str | None, str]] = [
    ("one", None, "naïve 東京\x1b[2J\n"),
    ("two", None, LONG),
    ("three", None, f"{LONG} and more"),
    ("four", None, f"So: {ANSWER}."),
    ("five", None, "naïve 東京\x1b[2J\n"),
    ("six", None, "over the limit"),
]
B: list[tuple[str, str | None, str]] = [
    ("other", "g", LONG),
    ("more", None, "naïve 東京\x1b[2J\n"),
    ("own", None, "of b alone"),
]


class Selected(NamedTuple):
    config: StudyConfig
    data_dir: Path
    benchmark: Path


@pytest.fixture
def study(tmp_path: Path) -> Selected:
    benchmark = tmp_path / "benchmark.jsonl"
    benchmark.write_text(json.dumps({"text": ANSWER, "id": "1"}) + "\n")
    folder = tmp_path / "data" / "study"
    limit = sum(len(text.encode()) for _, _, text in A[:5])
    read(folder, "a", Given(documents=tuple(A), max_bytes=limit))
    given(folder, {"b": B})
    changes: dict[str, Any] = {
        "deduplication": DeduplicationConfig(exact="drop_across", near="drop_within"),
        "decontamination": DecontaminationConfig(benchmarks={"quiz": str(benchmark)}),
    }
    select(folder, "a", "b", **changes)
    return Selected(selecting_study(["a", "b"], **changes), folder, benchmark)


def show(study: Selected, source: str, number: int, **fields) -> Shown:
    return show_document(study.config, study.data_dir, source, number, **fields)


def test_every_document_and_its_fate(study: Selected) -> None:
    for source, documents in {"a": A, "b": B}.items():
        shown = [show(study, source, number) for number in range(len(documents))]
        assert [one.document.text for one in shown] == [text for _, _, text in documents]
        assert [one.place.number for one in shown] == list(range(len(documents)))
        by_split: dict[str, list[int]] = {}
        for one in shown:
            by_split.setdefault(one.place.split, []).append(one.place.number)
        for split, numbers in by_split.items():
            again = [show(study, source, i, split=split) for i in range(len(numbers))]
            assert again == [shown[number] for number in numbers]
    fates = [show(study, "a", number).place.fate for number in range(6)]
    assert (fates[3], fates[5]) == ("contaminated", "over_limit")
    assert sorted(fates[1:3]) == ["near_duplicate", "train"]


def test_duplicates_name_the_documents_that_are_used(study: Selected) -> None:
    """The text of b's second document is used in a, which comes first."""
    codes = load_selection(study.data_dir, "a")
    dropped = show(study, "b", 1)
    assert dropped.place.fate == "exact_duplicate"
    [used] = dropped.kept
    assert (used.source, used.fate) == ("a", "train")
    assert used.number in (0, 4)
    similar = show(study, "a", 1 if codes[1] else 2)
    assert similar.place.fate == "near_duplicate"
    assert {place.fate for place in similar.kept} == {"train"}
    assert similar.kept[0].source == "a"
    assert similar.kept[0].number == (2 if codes[1] else 1)
    assert show(study, "a", 3).kept == ()


def test_a_contaminated_document_names_the_items_that_it_contains(study: Selected) -> None:
    [match] = show(study, "a", 3).matches
    assert (match.benchmark, match.item) == ("quiz", "1")
    assert match.example.startswith("an answer of an evaluation set")
    assert show(study, "a", 0).matches == ()
    study.benchmark.unlink()
    assert show(study, "a", 3).matches == (), "the evaluation set is needed for this only"


def test_numbers_out_of_range(study: Selected) -> None:
    with pytest.raises(UserError, match="source 'a' has documents 0 to 5, got 6"):
        show(study, "a", 6)
    with pytest.raises(UserError, match="split 'validation' of source 'b' has no documents"):
        show(study, "b", 0, split="validation")
