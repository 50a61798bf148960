"""Prepared data is the same, byte for byte, whatever prepares it.

`tests/campaigns/test_preparation.py` does the same with processes that are killed.
"""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from etils import epath
from rich.console import Console

from codepretrain.config.schema import StudyConfig
from codepretrain.data.prepare import prepare
from codepretrain.data.reading import part_plan
from codepretrain.files.hashing import sha256_file
from codepretrain.files.storage import sizes_below
from tests.fixtures.several_sources import several_sources, write_corpora

_TWO_PROCESSES = "--direct_running_mode=multi_processing --direct_num_workers=2"


@pytest.fixture(scope="module")
def small_parts() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(part_plan, "PART_BYTES", 1)
        patch.setattr(part_plan, "_MIN_PART_BYTES", 1)
        yield


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> StudyConfig:
    root = tmp_path_factory.mktemp("several")
    write_corpora(root)
    return several_sources(root)


@pytest.fixture(scope="module")
def expected(
    config: StudyConfig, small_parts: None, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """What one process prepares on the local disk."""
    return prepared(config, tmp_path_factory.mktemp("expected") / "data")


def prepared(
    config: StudyConfig, pools: Path | epath.Path, *, num_workers: int = 1, beam: str | None = None
) -> dict[str, str]:
    """Prepares, and returns the SHA-256 of every file but locks, by name."""
    quiet = Console(file=io.StringIO())
    data = prepare(config, pools / "study", num_workers=num_workers, beam=beam, console=quiet)
    for source in ("capped", "text"):
        assert len(data.documents[source].parts) > 1
        assert len(data.rows[source, "train"].parts) > 1
    dropped = data.selection.num_documents
    assert dropped["capped"]["over_limit"]
    for code in ("contaminated", "exact_duplicate", "near_duplicate"):
        assert dropped["text"][code]
    return {name: sha256_file(pools / name) for name in sizes_below(pools) if not is_lock(name)}


def is_lock(name: str) -> bool:
    return name.endswith(".lock") or ".lease/" in name


@pytest.mark.parametrize(
    "engine",
    [
        pytest.param({"num_workers": 2}, id="2 workers"),
        pytest.param({"beam": ""}, id="Beam in memory"),
        # Every stage starts two processes: 20 s.
        pytest.param(
            {"beam": _TWO_PROCESSES}, id="Beam in 2 processes", marks=pytest.mark.campaign
        ),
    ],
)
def test_engines(
    config: StudyConfig, expected: dict[str, str], tmp_path: Path, engine: dict
) -> None:
    assert prepared(config, tmp_path / "data", **engine) == expected


@pytest.mark.parametrize("engine", [{}, {"beam": ""}], ids=["1 process", "Beam in memory"])
def test_an_object_store(
    config: StudyConfig, expected: dict[str, str], memory: epath.Path, engine: dict
) -> None:
    assert prepared(config, memory, **engine) == expected
