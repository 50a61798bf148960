from pathlib import Path

import numpy as np
import pytest

from codepretrain.data.selection import selection_directory
from codepretrain.data.similar_texts import CLUSTERS, load_clusters
from codepretrain.errors import UserError
from tests.fixtures.selecting import given, select

TEXT = " ".join(f"word{number}" for number in range(80))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    given(
        tmp_path / "study",
        {"a": [("0", None, TEXT), ("1", None, "other")], "b": [("0", None, f"{TEXT} more")]},
    )
    select(tmp_path / "study", "a", "b")
    return Path(selection_directory(tmp_path / "study"))


def test_the_selection_keeps_its_clusters(directory: Path) -> None:
    clusters = load_clusters(directory)
    assert clusters.dtype == np.uint64
    assert clusters.shape == (1, 2)
    assert clusters[0, 0] > clusters[0, 1]


def test_no_similar_texts(tmp_path: Path) -> None:
    given(tmp_path / "study", {"a": [("0", None, TEXT)]})
    select(tmp_path / "study", "a")
    assert load_clusters(selection_directory(tmp_path / "study")).shape == (0, 2)


def test_damage(directory: Path) -> None:
    contents = bytearray((directory / CLUSTERS).read_bytes())
    contents[-1] ^= 1
    (directory / CLUSTERS).write_bytes(contents)
    with pytest.raises(UserError, match=rf"{CLUSTERS} was altered: its sha256 differs"):
        load_clusters(directory)
    (directory / CLUSTERS).unlink()
    with pytest.raises(UserError, match=f"{CLUSTERS} is missing"):
        load_clusters(directory)
