"""The same bytes of prepared data whatever prepares it, and after kill -9 in every stage.

    make test-preparation

One corpus is prepared by one process, two workers, and Apache Beam in memory and in several
processes; on the local disk, and in an object store on loopback where its packages are installed.
Every tree of files is compared with that of one process on the local disk.
"""

import hashlib
import itertools
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from etils import epath

from codepretrain.files import storage
from tests.conftest import ROOT
from tests.fixtures.descendants import descendants, wait_for_end
from tests.fixtures.object_stores import BUCKET
from tests.fixtures.several_sources import write_command, write_corpora

pytestmark = pytest.mark.campaign

TIMEOUT_S = 600.0
MODES = {
    "1 process": ["--num-workers=1"],
    "2 workers": ["--num-workers=2"],
    "Beam in memory": ["--beam="],
    "Beam in 2 processes": ["--beam=--direct_running_mode=multi_processing --direct_num_workers=2"],
}
# What appears in each stage, and how many seconds after that the command is killed.
KILLS = [
    ("read", r"documents/text-\w+/[^.].*/files\.json$", 0.0),
    ("scan", r"selection-scan/[^.].*/files\.json$", 0.0),
    ("select", r"selection-scan/text-.*/files\.json$", 0.3),
    ("tokenizer", r"/selection/files\.json$", 0.05),
    ("pack", r"rows/text-train-\w+/part-\d+/files\.json$", 0.0),
    ("items", r"/rows\.json$", 0.0),
]


@dataclass(frozen=True)
class Corpus:
    """command: of a script that runs `codepretrain` with small parts. expected: hashes by name."""

    command: Path
    study: Path
    expected: dict[str, str]


@pytest.fixture(scope="module")
def prepared_corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    root = tmp_path_factory.mktemp("corpus")
    write_corpora(root)
    command, study = write_command(root, root, num_problems=70)
    workdir = epath.Path(root / "workdir")
    finish(start(Corpus(command, study, {}), workdir, "--num-workers=1"))
    return Corpus(command, study, hashes(workdir))


@pytest.fixture(params=["local", "gcs"])
def workdir(request: pytest.FixtureRequest, tmp_path: Path) -> epath.Path:
    if request.param == "local":
        (tmp_path / "workdir").mkdir()
        return epath.Path(tmp_path / "workdir")
    server = request.getfixturevalue("gcs_server")
    monkeypatch = request.getfixturevalue("monkeypatch")
    for name, value in server.items():
        monkeypatch.setenv(name, value)
    return storage.parse(f"gs://{BUCKET}/preparation-{time.time_ns()}")


@pytest.mark.parametrize("mode", MODES)
def test_same_bytes(prepared_corpus: Corpus, workdir: epath.Path, mode: str) -> None:
    print(finish(start(prepared_corpus, workdir, *MODES[mode])))
    assert_same(hashes(workdir), prepared_corpus.expected)


@pytest.mark.parametrize("modes", [*((mode,) for mode in MODES), tuple(MODES)], ids="-".join)
def test_killed_in_every_stage(
    prepared_corpus: Corpus, workdir: epath.Path, modes: Sequence[str]
) -> None:
    """With several modes, each resumes what the one before it left."""
    turns = itertools.cycle(MODES[mode] for mode in modes)
    for (stage, pattern, wait_s), options in zip(KILLS, turns, strict=False):
        process = start(prepared_corpus, workdir, *options)
        try:
            kill_in(stage, pattern, wait_s, process, workdir)
        finally:
            process.kill()
            process.communicate()
    finish(start(prepared_corpus, workdir, *next(turns)))
    assert_same(hashes(workdir), prepared_corpus.expected)


def start(corpus: Corpus, workdir: epath.Path, *options: str) -> subprocess.Popen[str]:
    words = ["prepare", "--config", str(corpus.study), "--workdir", str(workdir), *options]
    return subprocess.Popen(
        [sys.executable, str(corpus.command), *words],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def finish(process: subprocess.Popen[str]) -> str:
    """Returns the output of a process that ends well."""
    output = process.communicate(timeout=TIMEOUT_S)[0]
    assert process.returncode == 0, output
    return output


def kill_in(
    stage: str,
    pattern: str,
    wait_s: float,
    process: subprocess.Popen[str],
    workdir: epath.Path,
) -> None:
    """Kills the main process when a file of a stage has appeared; its workers must end too."""
    before = names_below(workdir)
    deadline = time.monotonic() + TIMEOUT_S
    found = None
    while found is None:
        assert process.poll() is None, f"ended before {stage}:\n{process.communicate()[0]}"
        assert time.monotonic() < deadline, f"no file of {stage} appeared"
        new = names_below(workdir) - before
        found = next((name for name in sorted(new) if re.search(pattern, name)), None)
        time.sleep(0.002)
    time.sleep(wait_s)
    family = descendants(process.pid)
    process.kill()
    output = process.communicate(timeout=60)[0]
    assert process.returncode == -signal.SIGKILL, f"ended in {stage}, before the kill:\n{output}"
    wait_for_end(family, timeout_s=60)
    print(f"killed in {stage}, after {found}, with {len(family)} processes below it")


def names_below(workdir: epath.Path) -> set[str]:
    """Returns the names of files of a folder in which others write and remove."""
    if not storage.is_local(workdir):
        return set(storage.sizes_below(workdir))
    return {
        os.path.relpath(os.path.join(folder, name), workdir)
        for folder, _, files in os.walk(workdir)
        for name in files
    }


def hashes(workdir: epath.Path) -> dict[str, str]:
    """Returns the SHA-256 of every file but locks, by name."""
    names = [name for name in storage.sizes_below(workdir) if not is_lock(name)]
    return {name: hashlib.sha256(storage.read_bytes(workdir / name)).hexdigest() for name in names}


def is_lock(name: str) -> bool:
    return name.endswith("/.lock") or "/.lease/" in name


def assert_same(found: dict[str, str], expected: dict[str, str]) -> None:
    missing, extra = expected.keys() - found.keys(), found.keys() - expected.keys()
    different = [name for name in found.keys() & expected.keys() if found[name] != expected[name]]
    assert not missing, sorted(missing)
    assert not extra, sorted(extra)
    assert not different, sorted(different)
