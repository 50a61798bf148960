"""Sources that are trained on or held out as a whole: by hand, and that nothing leaks."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from codepretrain.config.schema import DeduplicationConfig
from codepretrain.data.description.leaks import split_proof
from codepretrain.data.engines.engine import InProcess
from codepretrain.data.keys import KEY_TYPE
from codepretrain.data.selection.document_codes import (
    HELD_OUT_COPY,
    TRAIN,
    VALIDATION,
    Decision,
    decide,
    with_all_codes,
)
from codepretrain.data.selection.select_documents import select_documents
from codepretrain.data.selection.selected import load_selection
from codepretrain.errors import UserError
from codepretrain.rows.data_dir import selection_settings
from tests.fixtures.selecting import given, selecting_study

NO_PAIRS = np.empty((0, 2), np.uint64)
SPLITS = {"own": "train", "theirs": "held_out"}


def keys(*pairs: tuple[int, int]) -> np.ndarray:
    """From groups and texts."""
    return np.array([(group, text, 1) for group, text in pairs], KEY_TYPE)


def decided(
    sources: dict[str, np.ndarray],
    *,
    clusters: np.ndarray = NO_PAIRS,
    joins: np.ndarray = NO_PAIRS,
    fraction: float = 0.0,
    splits: dict[str, str] = SPLITS,
) -> Decision:
    marks = {source: np.zeros(len(found), bool) for source, found in sources.items()}
    settings = DeduplicationConfig()
    return decide(sources, marks, clusters, settings, fraction=fraction, joins=joins, splits=splits)


def test_what_is_shared_with_a_held_out_source_is_left_out_of_the_others() -> None:
    sources = {
        "theirs": keys((1, 10), (1, 11), (2, 12)),
        # Their text, a similar one, their group, a copy of their group, and two of its own.
        "own": keys((3, 10), (3, 91), (1, 13), (4, 14), (3, 15), (5, 16)),
        "base": keys((7, 12), (7, 17)),
    }
    clusters, joins = np.array([[91, 11]], np.uint64), np.array([[4, 2]], np.uint64)
    codes = decided(sources, clusters=clusters, joins=joins, fraction=0.0).codes
    assert codes["theirs"].tolist() == [VALIDATION] * 3
    assert codes["own"].tolist() == [HELD_OUT_COPY] * 4 + [TRAIN] * 2
    assert codes["base"].tolist() == [HELD_OUT_COPY, TRAIN]


def test_a_source_is_trained_on_whatever_the_hash_says_and_so_is_what_it_shares() -> None:
    sources = {
        "own": keys(*((n, n) for n in range(50))),
        "base": keys(*((100 + n, n) for n in range(100))),
    }
    codes = decided(sources, fraction=0.9).codes
    assert set(codes["own"].tolist()) == {TRAIN}
    assert set(codes["base"][:50].tolist()) == {TRAIN}
    assert 35 < (codes["base"][50:] == VALIDATION).sum() < 50


@pytest.mark.parametrize(("num_groups", "num_units"), [(9, 36), (10, 10)])
def test_few_held_out_repositories_are_judged_by_their_files(
    num_groups: int, num_units: int
) -> None:
    theirs = keys(*((n % num_groups, 1000 + n) for n in range(4 * num_groups)))
    found = decided({"theirs": theirs, "base": keys((99, 1))})
    assert len(np.unique(found.components["theirs"])) == num_units


def test_nothing_is_on_both_sides_of_random_documents() -> None:
    rng = random.Random(0)
    for _ in range(100):
        sources = {
            name: keys(*((rng.randrange(12) + low, rng.randrange(40)) for _ in range(30)))
            for name, low in (("own", 0), ("theirs", 8), ("base", 16), ("more", 24))
        }
        clusters = np.array(sorted({(t, 0) for t in rng.sample(range(1, 40), 5)}), np.uint64)
        joins = np.array([[rng.randrange(36), rng.randrange(36)] for _ in range(6)], np.uint64)
        codes = dict(decided(sources, clusters=clusters, joins=joins, fraction=0.4).codes)
        assert split_proof(sources, codes, clusters, joins).holds
        assert VALIDATION not in codes["own"]
        assert TRAIN not in codes["theirs"]


def study(*sources: str, **splits: str):
    made = selecting_study(sources)
    changed = {
        name: replace(source, split=splits.get(name, "by_group"))
        for name, source in made.data.sources.items()
    }
    return replace(made, data=replace(made.data, sources=changed))


def test_a_study_with_repositories_held_out_by_name(tmp_path: Path) -> None:
    words = " ".join(f"w{n}" for n in range(60))
    given(
        tmp_path / "s",
        {
            "own": [("a", "one", "x = 1"), ("b", "one", f"{words} tail")],
            "theirs": [("c", "two", "y = 2"), ("d", "two", words)],
        },
    )
    config = study("own", "theirs", own="train", theirs="held_out")
    select_documents(config, tmp_path / "s", InProcess())
    assert load_selection(tmp_path / "s", "theirs").tolist() == [VALIDATION] * 2
    assert load_selection(tmp_path / "s", "own").tolist() == [TRAIN, HELD_OUT_COPY]


def test_a_source_needs_documents_on_its_side(tmp_path: Path) -> None:
    given(tmp_path / "s", {"own": [("a", "one", "x = 1")], "theirs": [("b", "two", "x = 1")]})
    config = study("own", "theirs", theirs="held_out")
    with pytest.raises(UserError, match=r"own has no training documents.* 1 held out copy"):
        select_documents(config, tmp_path / "s", InProcess())


def test_studies_without_such_sources_keep_their_data() -> None:
    assert "splits" not in selection_settings(study("own", "theirs"))
    assert selection_settings(study("own", own="train"))["splits"] == {"own": "train"}
    assert with_all_codes({"a": {"train": 3}})["a"]["held_out_copy"] == 0
