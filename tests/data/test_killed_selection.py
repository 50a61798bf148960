"""A selection that is killed in any stage gives the same bytes when it is made again."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from codepretrain.data.engines.engine import local_engine
from codepretrain.data.reading import part_plan
from codepretrain.files.hashing import sha256_file
from codepretrain.files.storage import sizes_below
from tests.data.deduplicate.corpora import pair
from tests.fixtures.selecting import given, select

ROOT = Path(__file__).parents[2]

_KILLED = """
import os, signal, sys, time
from pathlib import Path
from codepretrain.data.selection import scan_part
from codepretrain.data.selection import select_documents
from codepretrain.data.selection import selected as selection
from codepretrain.data.deduplicate import external_sort
from codepretrain.data.engines.engine import local_engine
from tests.fixtures.selecting import select

def kill(*_, **__):
    os.kill(int(os.environ["PARENT"]), signal.SIGKILL)
    time.sleep(60)

def kill_at_third(task, folder, original=scan_part._scan):
    if len(list(Path(task.directory).parent.glob("*/files.json"))) > 2:
        (folder / "half").write_text("half")
        kill()
    original(task, folder)

stage = sys.argv[2]
if stage == "scan":
    scan_part._scan = kill_at_third
if stage == "sort":
    external_sort.Sorter.remove = kill
if stage == "write":
    selection.write_sealed = kill
if stage == "remove":
    select_documents.remove_scan = kill

if __name__ == "__main__":
    os.environ["PARENT"] = str(os.getpid())
    with local_engine(int(sys.argv[3])) as engine:
        select(Path(sys.argv[1]), "a", "b", engine=engine, fraction=0.4)
"""


def documents() -> dict[str, list[tuple[str, str | None, str]]]:
    rng = random.Random(0)
    pairs = [pair(rng, 0.85, num_ngrams=60) for _ in range(40)]
    return {
        source: [(f"{i}", None, texts[side]) for i, texts in enumerate(pairs)]
        for side, source in enumerate("ab")
    }


def contents(data_dir: Path) -> dict[str, str]:
    return {name: sha256_file(data_dir / name) for name in sizes_below(data_dir)}


@pytest.mark.parametrize(
    ("stage", "num_workers"),
    [("scan", 1), ("scan", 2), ("sort", 1), ("write", 2), ("remove", 1)],
)
def test_killed_in_a_stage(tmp_path, monkeypatch, stage: str, num_workers: int) -> None:
    monkeypatch.setattr(part_plan, "PART_BYTES", 1)
    whole, killed = tmp_path / "whole" / "s", tmp_path / "killed" / "s"
    for data_dir in (whole, killed):
        given(data_dir, documents(), per_shard=8)
    select(whole, "a", "b", fraction=0.4)
    script = tmp_path / "killed.py"
    script.write_text(_KILLED)
    # The pipe's end is reached when the parent and all its children have closed it.
    ended = subprocess.run(
        [sys.executable, script, killed, stage, str(num_workers)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=120,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    finished = {path: path.stat().st_mtime_ns for path in killed.rglob("*/files.json")}
    assert len(finished) >= {"scan": 3, "remove": 11}.get(stage, 10)
    with local_engine(num_workers) as engine:
        if stage != "remove":
            select(killed, "a", "b", engine=engine, fraction=0.4)
    if stage == "remove":
        assert contents(killed / "selection") == contents(whole / "selection")
    else:
        assert contents(killed) == contents(whole)
