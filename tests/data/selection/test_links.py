from pathlib import Path

import numpy as np
import pytest

from codepretrain.data.selection.links import SIMILAR_TEXTS, load_clusters, load_joins
from codepretrain.data.selection.selected import selection_directory
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
    assert load_joins(directory).shape == (0, 2)


def test_no_similar_texts(tmp_path: Path) -> None:
    given(tmp_path / "study", {"a": [("0", None, TEXT)]})
    select(tmp_path / "study", "a")
    assert load_clusters(selection_directory(tmp_path / "study")).shape == (0, 2)


def test_damage(directory: Path) -> None:
    contents = bytearray((directory / SIMILAR_TEXTS).read_bytes())
    contents[-1] ^= 1
    (directory / SIMILAR_TEXTS).write_bytes(contents)
    with pytest.raises(UserError, match=rf"{SIMILAR_TEXTS} was altered: its sha256 differs"):
        load_clusters(directory)
    (directory / SIMILAR_TEXTS).unlink()
    with pytest.raises(UserError, match=f"{SIMILAR_TEXTS} is missing"):
        load_clusters(directory)
