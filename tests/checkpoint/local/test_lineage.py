"""Which steps belong to the history of a run that resumed from local checkpoints."""

import json
from pathlib import Path

import numpy as np
import pytest
from etils import epath

from codepretrain.checkpoint.local import files
from codepretrain.checkpoint.local.lineage import Lineage, begin_start, end_lineage, lineage


@pytest.mark.parametrize(
    ("start", "step", "is_of_it"),
    [("a", 100, True), ("a", 101, False), ("b", 101, True), ("b", 151, False), ("c", 151, True)],
)
def test_a_step_that_was_repeated_is_that_of_the_later_start(
    start: str, step: int, is_of_it: bool
) -> None:
    history = Lineage("x", (("a", 0), ("b", 100), ("c", 150)))
    assert history.has(start, step) == is_of_it
    assert not history.has("d", step)


def test_a_resume_goes_back_behind_an_earlier_one() -> None:
    history = Lineage("x", (("a", 0), ("b", 100), ("c", 50)))
    assert [history.has("a", step) for step in (50, 51)] == [True, False]
    assert [history.has("b", step) for step in (50, 51, 101)] == [True, False, False]


def test_starts_are_recorded(tmp_path: Path) -> None:
    run = epath.Path(tmp_path)
    assert lineage(run) == Lineage()
    first = begin_start(run, 0, of=None)
    second = begin_start(run, 100, of=first)
    assert lineage(run) == second
    assert (second.name, second.starts[0]) == (first.name, first.starts[0])
    assert second.start != first.start
    other = begin_start(run, 70, of=None)
    assert other.name != first.name
    assert [step for _, step in other.starts] == [70]
    end_lineage(run)
    assert lineage(run) == Lineage()


def test_one_without_starts_is_of_an_older_version(tmp_path: Path) -> None:
    (tmp_path / "local_checkpoints.json").write_text(json.dumps({"lineage": "5f3a"}))
    assert lineage(epath.Path(tmp_path)) == Lineage()


def test_a_host_that_was_away_brings_no_step_of_an_earlier_start(tmp_path: Path) -> None:
    """It saved step 110 before the others went back to 100 and came to 120 without it."""
    history = Lineage("x", (("a", 0), ("b", 100)))
    for start, step in (("a", 100), ("a", 110), ("b", 120)):
        record = files.Record(
            step=step, start=start, layout="l", described="one", ledger={}, identity={}
        )
        files.write(epath.Path(tmp_path), 1, record, {0: [[np.arange(3)]]})
    found = files.scan(epath.Path(tmp_path), layout="l", identity={}, lineage=history)
    assert [copy.step for copy in found.copies] == [100, 120]
    assert not found.others
    assert not found.damaged
    stranger = files.Record(
        step=120, start="z", layout="l", described="one", ledger={}, identity={}
    )
    files.write(epath.Path(tmp_path), 2, stranger, {0: [[np.arange(3)]]})
    found = files.scan(epath.Path(tmp_path), layout="l", identity={}, lineage=history)
    assert [copy.step for copy in found.copies] == [100, 120]
    assert found.others == ["a start of this run saved them that its records do not have"]
