"""Journals: exact numbers, torn ends, what a kill leaves, and nothing destroyed."""

import math
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from etils import epath

from codepretrain.errors import UserError
from codepretrain.files import journal as journal_module
from codepretrain.files import journal_parts, storage
from codepretrain.files.atomic import write_bytes
from codepretrain.files.journal import Journal, cut_path, read, remove

_APPEND = """
import sys
from codepretrain.files import storage
from codepretrain.files.journal import Journal
resumed = int(sys.argv[2])
with Journal(storage.parse(sys.argv[1]), keeps=lambda r: r["step"] <= resumed) as journal:
    assert [r["step"] for r in journal.kept] == list(range(1, resumed + 1))
    for step in range(resumed + 1, 10**9):
        journal.append({"step": step, "text": "x" * 1000})
        if step % 3 == 0:
            journal.sync()
            print(step, flush=True)
"""


def steps(path: epath.Path) -> list[int]:
    return [record["step"] for record in read(path)]


def test_gives_back_the_very_numbers(folder: epath.Path) -> None:
    values = {"a": 0.1 + 0.2, "b": np.float32(0.1), "c": -math.inf, "d": 2**70, "e": "é\u2028\n"}
    with Journal(folder / "metrics.jsonl") as journal:
        journal.append({"step": 1, **values, "nan": math.nan})
    (record,) = read(folder / "metrics.jsonl")
    assert math.isnan(record.pop("nan"))
    assert record == {"step": 1, **values, "b": float(np.float32(0.1))}


def test_a_journal_that_does_not_exist_is_empty(folder: epath.Path) -> None:
    assert read(folder / "none.jsonl") == []


def test_a_removed_journal_leaves_nothing(folder: epath.Path) -> None:
    path = folder / "metrics.jsonl"
    with Journal(path) as journal:
        journal.append({"step": 1})
    remove(path)
    assert steps(path) == []
    assert not storage.names(folder)
    remove(path)  # no error


def test_appends_to_what_was_there(folder: epath.Path) -> None:
    path = folder / "metrics.jsonl"
    for step in range(3):
        with Journal(path) as journal:
            assert [record["step"] for record in journal.kept] == list(range(step))
            journal.append({"step": step})
    assert steps(path) == [0, 1, 2]
    assert read(cut_path(path)) == []


def test_cut_records_are_kept_in_one_file_with_the_time_and_the_step(folder: epath.Path) -> None:
    path = folder / "metrics.jsonl"
    with Journal(path) as journal:
        for step in range(5):
            journal.append({"step": step, "loss": math.nan})
    for resumed in (2, 2, 1):
        note = {"resumed_step": resumed}
        keeps = partial(up_to, resumed)
        with Journal(path, keeps=keeps, cut_note=note) as journal:
            assert [record["step"] for record in journal.kept] == list(range(resumed + 1))
            journal.append({"step": 30})
    assert steps(path) == [0, 1, 30]
    cut = read(cut_path(path))
    assert [(c["resumed_step"], c["record"]["step"]) for c in cut] == [
        (2, 3),
        (2, 4),
        (2, 30),
        (1, 2),
        (1, 30),
    ]
    assert all(datetime.fromisoformat(c["cut_at"]).tzinfo is UTC for c in cut)
    assert math.isnan(cut[0]["record"]["loss"])
    assert len(storage.names(folder)) == 2


def test_a_process_that_crashes_again_and_again_leaves_one_copy(folder: epath.Path) -> None:
    """Each start makes the same two records and is killed before the next checkpoint."""
    path = folder / "metrics.jsonl"
    for _ in range(20):
        with Journal(path, keeps=partial(up_to, 1), cut_note={"resumed_step": 1}) as journal:
            for step in range(len(journal.kept), 4):
                journal.append({"step": step, "text": "x" * 100})
    assert len(storage.names(folder)) == 2
    assert [cut["record"]["step"] for cut in read(cut_path(path))] == [2, 3]


def up_to(step: int, record: dict[str, Any]) -> bool:
    return record["step"] <= step


def test_a_torn_last_line_is_repaired(folder: epath.Path) -> None:
    path = folder / "metrics.jsonl"
    write_bytes(path, b'{"step": 1}\n{"step": 2}\n{"ste')
    assert steps(path) == [1, 2]
    with Journal(path) as journal:
        journal.append({"step": 3})
    assert steps(path) == [1, 2, 3]


@pytest.mark.parametrize("damage", [b"xx\n", b"[1]\n", b"null\n", b"\xff\n", b"[" * 5000 + b"\n"])
def test_a_damaged_line_is_named_and_nothing_is_written(folder: epath.Path, damage: bytes) -> None:
    path = folder / "metrics.jsonl"
    content = b'{"step": 1}\n' + damage + b'{"step": 3}\n'
    write_bytes(path, content)
    with pytest.raises(UserError, match=r"metrics\.jsonl line 2 is damaged"):
        Journal(path, keeps=lambda record: False)
    assert storage.read_bytes(path) == content


def test_a_journal_survives_a_copy_to_the_other_kind_of_storage(
    tmp_path: Path, memory: epath.Path
) -> None:
    local = storage.parse(tmp_path / "metrics.jsonl")
    with Journal(local) as journal:
        journal.append({"step": 1})
    write_bytes(memory / "metrics.jsonl", storage.read_bytes(local))  # as `cp -r` does
    with Journal(memory / "metrics.jsonl") as journal:
        journal.append({"step": 2})
    assert steps(memory / "metrics.jsonl") == [1, 2]
    assert storage.names(memory) == ["metrics.jsonl.parts"]
    back = storage.parse(tmp_path / "back")
    for name, _ in storage.sizes_below(memory).items():
        write_bytes(back / name, storage.read_bytes(memory / name))
    assert steps(back / "metrics.jsonl") == [1, 2]
    with Journal(back / "metrics.jsonl") as journal:
        journal.append({"step": 3})
    assert steps(back / "metrics.jsonl") == [1, 2, 3]
    assert storage.names(back) == ["metrics.jsonl"]


@pytest.mark.parametrize("kind", ["local", "s3", "gcs"])
def test_a_killed_writer_loses_nothing_that_was_synced(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, start: Any
) -> None:
    """Killed at a random moment, resumed at the record that was synced last, ten times."""
    folder = storage.parse(tmp_path / "x") if kind == "local" else request.getfixturevalue(kind)
    path, synced, rng = folder / "metrics.jsonl", 0, random.Random(0)
    for _ in range(10):
        process = start(_APPEND, path, str(synced))
        for _ in range(rng.randrange(1, 8)):
            synced = int(process.stdout.readline())
        time.sleep(rng.uniform(0, 0.02))
        process.kill()
        process.wait()
        found = steps(path)
        assert found[:synced] == list(range(1, synced + 1))
        assert found == list(range(1, len(found) + 1))
    end = "" if kind == "local" else ".parts"
    there = {name for name in storage.names(folder) if not name.endswith(".tmp")}
    assert there <= {f"metrics.jsonl{end}", f"metrics.cut.jsonl{end}"}
    assert all(cut["record"]["text"] == "x" * 1000 for cut in read(cut_path(path)))


@pytest.mark.parametrize("kind", ["local", "memory"])
def test_a_kill_while_opening_leaves_the_old_or_the_new_journal(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every write and removal of the opening is the last one once."""
    root = storage.parse(tmp_path / "x") if kind == "local" else request.getfixturevalue(kind)
    outcomes = []
    for num_allowed in range(20):
        path = root / str(num_allowed) / "metrics.jsonl"
        with Journal(path) as journal:
            for step in range(4):
                journal.append({"step": step})
        with monkeypatch.context() as patch:
            kill_after(patch, num_allowed)
            try:
                Journal(path, keeps=lambda record: record["step"] < 2).close()
                break
            except KeyboardInterrupt:
                outcomes.append(steps(path))
        cut = [record["record"]["step"] for record in read(cut_path(path))]
        assert outcomes[-1] == [0, 1, 2, 3] or cut == [2, 3], "they are safe before they are cut"
        Journal(path, keeps=lambda record: record["step"] < 2).close()
        cut = [record["record"]["step"] for record in read(cut_path(path))]
        assert cut in ([2, 3], [2, 2, 3]), "a kill between the two lines repeats the first"
    assert [0, 1, 2, 3] in outcomes
    assert all(outcome in ([0, 1], [0, 1, 2, 3]) for outcome in outcomes)
    assert steps(path) == [0, 1]


def kill_after(patch: pytest.MonkeyPatch, num_allowed: int) -> None:
    """Lets so many changes of the storage pass, and none after them."""
    left = [num_allowed]

    def limited(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if left[0] <= 0:
                raise KeyboardInterrupt
            left[0] -= 1
            return original(*arguments, **options)

        return call

    for owner, name in [
        (journal_module, "write_bytes"),
        (journal_module._LocalLines, "append"),
        (journal_parts, "create"),
        (journal_parts, "remove"),
    ]:
        patch.setattr(owner, name, limited(getattr(owner, name)))
