from pathlib import Path

import numpy as np
import pytest

from codepretrain.evals.item_scores import (
    ItemScores,
    item_scores_path,
    read_item_scores,
    write_item_scores,
)
from codepretrain.files import journal

ITEMS = ItemScores(
    {"accuracy": np.array([True, False]), "loss": np.array([0.1, 2.5])},
    [{"id": "a", "chosen": 1}, {"id": "b", "chosen": float("nan")}],
)


def test_scores_and_records_come_back(tmp_path: Path) -> None:
    write_item_scores(tmp_path, "prose", 7, ITEMS)
    path = item_scores_path(tmp_path, "prose", 7)
    assert path.name == "prose-00000007.npz"
    found = read_item_scores(tmp_path, "prose", 7)
    assert found is not None
    assert found["accuracy"].tolist() == [1.0, 0.0]
    assert found["loss"].tolist() == [0.1, 2.5]
    records = journal.read(path.with_suffix(".jsonl"))
    assert records[0] == {"id": "a", "chosen": 1}
    assert np.isnan(records[1]["chosen"])


def test_an_earlier_attempt_is_replaced(tmp_path: Path) -> None:
    write_item_scores(tmp_path, "prose", 7, ITEMS)
    write_item_scores(tmp_path, "prose", 7, ItemScores({"accuracy": np.zeros(3)}, []))
    found = read_item_scores(tmp_path, "prose", 7)
    assert found is not None
    assert {name: len(values) for name, values in found.items()} == {"accuracy": 3}
    assert len(list((tmp_path / "items").iterdir())) == 2


def test_scores_that_were_not_kept_are_none(tmp_path: Path) -> None:
    assert read_item_scores(tmp_path, "prose", 7) is None


def test_damaged_scores_are_named(tmp_path: Path) -> None:
    write_item_scores(tmp_path, "prose", 7, ITEMS)
    path = item_scores_path(tmp_path, "prose", 7)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"prose-00000007\.npz is damaged"):
        read_item_scores(tmp_path, "prose", 7)


def test_scores_are_kept_in_an_object_store() -> None:
    write_item_scores("memory://items-test/run", "prose", 7, ITEMS)
    found = read_item_scores("memory://items-test/run", "prose", 7)
    assert found is not None
    assert found["loss"].tolist() == [0.1, 2.5]
