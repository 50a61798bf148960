from pathlib import Path

import numpy as np
import pytest

from codepretrain.evals.item_scores import (
    ItemScores,
    read_item_scores,
    write_item_scores,
)
from codepretrain.files import journal
from codepretrain.metrics.item_files import item_file

ITEMS = ItemScores(
    ["a", "b\0 é"],
    {"accuracy": np.array([True, False]), "loss": np.array([0.1, 2.5])},
    [{"id": "a", "chosen": 1}, {"id": "b", "chosen": float("nan")}],
    ["d0", "d1"],
)
DIGEST, OTHER = "0123456789ab" + "c" * 52, "fedcba987654" + "c" * 52


def test_scores_and_records_come_back(tmp_path: Path) -> None:
    write_item_scores(tmp_path, "prose", 7, DIGEST, ITEMS)
    path = item_file(tmp_path, "prose", 7, DIGEST)
    assert path.name == "prose-00000007-0123456789ab.npz"
    found = read_item_scores(tmp_path, "prose", 7, DIGEST)
    assert found is not None
    assert (found.ids, found.clusters) == (ITEMS.ids, ITEMS.clusters)
    assert found.scores["accuracy"].tolist() == [1.0, 0.0]
    assert found.scores["loss"].tolist() == [0.1, 2.5]
    records = journal.read(path.with_suffix(".jsonl"))
    assert records[0] == {"id": "a", "chosen": 1}
    assert np.isnan(records[1]["chosen"])


def test_an_earlier_attempt_is_replaced(tmp_path: Path) -> None:
    write_item_scores(tmp_path, "prose", 7, DIGEST, ITEMS)
    again = ItemScores(["a", "b", "c"], {"accuracy": np.zeros(3)}, [], ["d", "d", "d"])
    write_item_scores(tmp_path, "prose", 7, DIGEST, again)
    found = read_item_scores(tmp_path, "prose", 7, DIGEST)
    assert found is not None
    assert {name: len(values) for name, values in found.scores.items()} == {"accuracy": 3}
    assert len(list((tmp_path / "items").iterdir())) == 2


def test_scores_of_another_identity_are_kept_beside(tmp_path: Path) -> None:
    write_item_scores(tmp_path, "prose", 7, DIGEST, ITEMS)
    other = ItemScores(["z"], {"accuracy": np.ones(1)}, [], ["d"])
    write_item_scores(tmp_path, "prose", 7, OTHER, other)
    for digest, items in ((DIGEST, ITEMS), (OTHER, other)):
        found = read_item_scores(tmp_path, "prose", 7, digest)
        assert found is not None
        assert found.ids == items.ids


def test_scores_that_were_not_kept_are_none(tmp_path: Path) -> None:
    assert read_item_scores(tmp_path, "prose", 7, DIGEST) is None


def test_damaged_scores_are_named(tmp_path: Path) -> None:
    write_item_scores(tmp_path, "prose", 7, DIGEST, ITEMS)
    path = item_file(tmp_path, "prose", 7, DIGEST)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"prose-00000007-0123456789ab\.npz is damaged"):
        read_item_scores(tmp_path, "prose", 7, DIGEST)


def test_a_file_of_another_evaluation_is_named(tmp_path: Path) -> None:
    """Two digests that begin alike have one name."""
    write_item_scores(tmp_path, "prose", 7, DIGEST, ITEMS)
    alike = DIGEST[:-1] + "0"
    with pytest.raises(ValueError, match=f"is of another evaluation: expected {alike}, found"):
        read_item_scores(tmp_path, "prose", 7, alike)


def test_items_have_one_id_one_cluster_and_one_score_each() -> None:
    for ids, scores, clusters in (
        (["a", "a"], np.zeros(2), ["d", "d"]),
        (["a", "b"], np.zeros(3), ["d", "d"]),
        (["a", "b"], np.zeros(2), ["d"]),
    ):
        with pytest.raises(AssertionError):
            ItemScores(ids, {"accuracy": scores}, [], clusters)


def test_scores_are_kept_in_an_object_store() -> None:
    write_item_scores("memory://items-test/run", "prose", 7, DIGEST, ITEMS)
    found = read_item_scores("memory://items-test/run", "prose", 7, DIGEST)
    assert found is not None
    assert found.scores["loss"].tolist() == [0.1, 2.5]
