"""The description of real prepared data, compared with a second count from the documents."""

import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from etils import epath

from codepretrain.config.schema import DecontaminationConfig, DeduplicationConfig, StudyConfig
from codepretrain.data.description import describe as describe_module
from codepretrain.data.description.describe import describe_data
from codepretrain.data.selection.selected import split_documents
from codepretrain.errors import UserError
from codepretrain.files.atomic import write_bytes
from codepretrain.rows.format import SPLITS
from codepretrain.rows.manifest import rows_directory
from codepretrain.rows.store import RowStore
from tests.fixtures.described import ODD, Described, described_study, prepare_described


def documents(described: Described, source: str, split: str) -> list[Any]:
    return list(split_documents(described.data_dir, source=source, split=split))


def counts(source: dict[str, Any]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for entry in source["fates"]["fates"]:
        found[entry["fate"]] += entry["num_documents"]
    return {fate: count for fate, count in found.items() if count}


def test_every_document_of_the_raw_files_has_one_fate(
    described: Described, description: dict[str, Any]
) -> None:
    for name, source in description["sources"].items():
        lines = (described.folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        assert source["fates"]["num_read"] == sum(counts(source).values()) == len(lines)
        texts = [json.loads(line).get("text", "") for line in lines]
        assert source["fates"]["num_bytes_read"] == sum(len(text.encode()) for text in texts)
    prose, code, notes = (counts(description["sources"][s]) for s in ("prose", "code", "notes"))
    fates = ("skipped", "exact_duplicate", "near_duplicate", "contaminated")
    assert [prose[fate] for fate in fates] == [1, 5, 1, 1]
    assert prose["over_limit"] > 0
    assert code["filtered"] == 1
    assert set(notes) == {"train", "validation"}
    redacted = description["sources"]["code"]["fates"]
    assert redacted["num_redactions"] == 3
    assert redacted["num_redacted_bytes"] == 3 * (len("a0@b.com") - len("<EMAIL>"))


def test_rows_and_languages_are_those_of_the_split(
    described: Described, description: dict[str, Any]
) -> None:
    for name, source in description["sources"].items():
        found = {split: documents(described, name, split) for split in SPLITS}
        for split, of in found.items():
            rows = source["rows"][split]
            assert rows["num_documents"] == len(of) == counts(source)[split]
            assert rows["num_bytes"] == sum(document.num_bytes for document in of)
            assert rows["bytes_per_token"] == rows["num_bytes"] / rows["num_tokens"]
        every = [*found["train"], *found["validation"]]
        languages = Counter(document.language or "" for document in every)
        entries = source["languages"]["entries"]
        assert {entry["name"]: entry["num_documents"] for entry in entries} == languages
        tokens = sum(source["rows"][split]["num_tokens"] for split in SPLITS)
        assert sum(entry["num_tokens"] for entry in entries) == tokens
        assert sum(source["lengths"]["log2"]) == len(every)
        assert source["lengths"]["longest"] == max(document.num_bytes for document in every)


def test_overlap_is_that_of_the_documents(
    described: Described, description: dict[str, Any]
) -> None:
    used = {
        name: [d for split in SPLITS for d in documents(described, name, split)]
        for name in description["sources"]
    }
    assert description["overlap"]["sources"] == ["code", "notes", "prose"]
    for pair in description["overlap"]["pairs"]:
        one, other = (used[name] for name in pair["sources"])
        texts = {d.text for d in one} & {d.text for d in other}
        groups = {d.group or d.id for d in one} & {d.group or d.id for d in other}
        shared = pair["used"]
        assert (shared["num_texts"], shared["num_groups"]) == (len(texts), len(groups))
        assert shared["num_bytes"] == sum(len(text.encode()) for text in texts)
        assert shared["num_clusters"] >= len(texts)
    by_pair = {tuple(p["sources"]): p["read"] for p in description["overlap"]["pairs"]}
    assert by_pair["notes", "prose"]["num_texts"] == 10
    assert by_pair["code", "notes"]["num_groups"] == 30


def test_nothing_is_on_both_sides_by_a_second_count(
    described: Described, description: dict[str, Any]
) -> None:
    sides = [
        [d for name in description["sources"] for d in documents(described, name, split)]
        for split in SPLITS
    ]
    groups, held_out_groups = ({d.group or d.id for d in side} for side in sides)
    texts, held_out_texts = ({d.text for d in side} for side in sides)
    assert not groups & held_out_groups
    assert not texts & held_out_texts
    split = description["split"]
    assert split["holds"]
    assert split["num_groups"] == len(groups | held_out_groups)
    assert split["texts_held_out"] == len(held_out_texts) > 0
    assert split["clusters_on_both_sides"] == 0
    assert split["num_clusters"] <= split["num_texts"]
    assert (split["fraction"], split["num_too_large"]) == (0.2, 0)


def test_evaluation_sets_and_hashes(described: Described, description: dict[str, Any]) -> None:
    quiz = description["decontamination"]["quiz"]
    assert (quiz["num_items"], quiz["num_too_short"], quiz["num_items_found"]) == (2, 1, 1)
    assert {name: found["num_documents"] for name, found in quiz["sources"].items()} == {"prose": 1}
    for name, source in description["sources"].items():
        store = RowStore(
            rows_directory(described.data_dir, name, "train"), source=name, split="train"
        )
        assert source["sha256"]["train_rows"] == store.manifest.hash
    hashes = [h for source in description["sources"].values() for h in source["sha256"].values()]
    assert len({*hashes}) == len(hashes) == 15
    assert all(len(found) == 64 for found in hashes)


def test_it_is_json(description: dict[str, Any]) -> None:
    assert json.loads(json.dumps(description)) == description


def test_data_on_an_object_store(
    described: Described, description: dict[str, Any], memory: epath.Path
) -> None:
    for path in (described.workdir / "data").rglob("*"):
        if path.is_file():
            write_bytes(memory / path.relative_to(described.workdir), path.read_bytes())
    folder = memory / described.data_dir.relative_to(described.workdir)
    found = describe_data(described.config, folder)
    assert found == {
        **{key: description[key] for key in description.keys() - {"use", "command"}},
        "data_dir": str(folder),
    }


def test_one_source_and_nothing_held_out(described: Described, tmp_path: Path) -> None:
    prose = described_study(described.folder).data.sources["prose"]
    alone = prepare_described(
        described.folder,
        tmp_path,
        sources={"prose": prose},
        validation_fraction=0.0,
        deduplication=DeduplicationConfig(near="ignore"),
        decontamination=DecontaminationConfig(),
    )
    found = describe_data(alone.config, alone.data_dir)
    assert found["overlap"]["pairs"] == []
    assert found["split"]["num_clusters"] is None
    assert (found["split"]["holds"], found["split"]["groups_held_out"]) == (True, 0)
    assert found["decontamination"] == {}
    rows = found["sources"]["prose"]["rows"]
    assert rows["validation"]["num_documents"] == 0
    assert rows["validation"]["fill"] is None
    assert rows["validation"]["bytes_per_token"] is None
    assert rows["train"]["num_documents"] == counts(found["sources"]["prose"])["train"] > 100
    assert any(d.text == ODD for d in documents(alone, "prose", "train"))


def test_rows_of_other_documents_are_no_description(
    described: Described, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One held-out document more than in the rows."""
    load = describe_module.load_selection

    def moved(data_dir: Any, source: str, **fields: Any) -> Any:
        codes = load(data_dir, source, **fields)
        codes[codes.argmin()] = 1
        return codes

    monkeypatch.setattr(describe_module, "load_selection", moved)
    with pytest.raises(AssertionError, match=r"source 'code' .train.: .* selected, .* in rows"):
        describe_data(described.config, described.data_dir)


def test_data_of_other_settings(described: Described) -> None:
    config: StudyConfig = dataclasses.replace(
        described.config,
        data=dataclasses.replace(described.config.data, validation_fraction=0.3),
    )
    with pytest.raises(UserError, match="under other settings"):
        describe_data(config, described.data_dir)
