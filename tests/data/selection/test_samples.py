"""Samples are of the whole split, whatever the order in which it was read."""

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from codepretrain.config.schema import SourceConfig
from codepretrain.data import prepare as prepare_module
from codepretrain.data.prepare import prepare
from codepretrain.data.selection.samples import sample_bytes, sample_documents
from codepretrain.data.selection.selected import split_documents

NUM_DOCUMENTS = 1000


def corpus(path: Path, numbers: range) -> SourceConfig:
    lines = [json.dumps({"text": f"number {n:04} here", "id": f"id {n}"}) for n in numbers]
    path.write_text("\n".join(lines))
    options = {"path": str(path), "id_field": "id"}
    return SourceConfig(reader="jsonl", kind="text", options=options)


def number(text: str) -> int:
    return int(text.split()[1])


@pytest.fixture
def prepared_in_order(make_study, tmp_path, quiet):
    """A function that prepares the numbered documents in an order; gives the data directory."""

    def build(name: str, numbers: range, **tokenizer: object) -> Path:
        source = corpus(tmp_path / f"{name}.jsonl", numbers)
        config = make_study(sources={"text": source}, tokenizer=tokenizer)
        config = dataclasses.replace(config, phases={})
        prepare(config, tmp_path / name, num_workers=1, console=Console(file=io.StringIO()))
        return tmp_path / name

    return build


def test_the_same_documents_in_any_order_of_reading(prepared_in_order) -> None:
    forwards, backwards = (
        prepared_in_order(name, range(NUM_DOCUMENTS)[::step])
        for name, step in (("a", 1), ("b", -1))
    )
    for split, purpose in (("train", "one"), ("validation", "one"), ("train", "other")):
        given: Any = {"source": "text", "split": split, "purpose": purpose}
        one, other = (
            [d.text for d in sample_documents(directory, **given, num_documents=50)]
            for directory in (forwards, backwards)
        )
        assert one == other[::-1]
        assert len(one) == 50
        numbers = [number(text) for text in one]
        assert min(numbers) < 100 < 900 < max(numbers)
        members = {d.text for d in split_documents(forwards, source="text", split=split)}
        assert set(one) < members
        by_bytes = [d.text for d in sample_bytes(forwards, **given, num_bytes=50 * 16)]
        assert by_bytes == one
        assert {d.text for d in sample_documents(forwards, **given, num_documents=9999)} == members


def test_the_tokenizer_learns_from_all_of_the_corpus(prepared_in_order, monkeypatch) -> None:
    learned: list[str] = []
    train = prepare_module.train_tokenizer

    def spy(texts, settings):
        learned.extend(texts)
        return train(learned, settings)

    monkeypatch.setattr(prepare_module, "train_tokenizer", spy)
    prepared_in_order("a", range(NUM_DOCUMENTS), training_bytes_per_source=50 * 16)
    numbers = [number(text) for text in learned]
    assert len(numbers) == 50
    assert min(numbers) < 100 < 900 < max(numbers)


def test_the_tokenizer_learns_by_weight(make_study, tmp_path, quiet, monkeypatch) -> None:
    learned: list[str] = []
    train = prepare_module.train_tokenizer

    def spy(texts, settings):
        learned.extend(texts)
        return train(learned, settings)

    monkeypatch.setattr(prepare_module, "train_tokenizer", spy)
    sources = {
        "small": corpus(tmp_path / "small.jsonl", range(1000, 1900)),
        "large": corpus(tmp_path / "large.jsonl", range(2000, 2900)),
        "other": corpus(tmp_path / "other.jsonl", range(3000, 3900)),
        "none": corpus(tmp_path / "none.jsonl", range(4000, 4900)),
    }
    weights = {"small": 0.5, "large": 3.0, "none": 0.0}
    tokenizer = {"training_bytes_per_source": 100 * 16, "training_weights": weights}
    config = dataclasses.replace(make_study(sources=sources, tokenizer=tokenizer), phases={})
    prepare(config, tmp_path / "data", num_workers=1, console=quiet)
    counts = [sum(number(text) // 1000 == k for text in learned) for k in range(1, 5)]
    assert counts == [50, 300, 100, 0]
