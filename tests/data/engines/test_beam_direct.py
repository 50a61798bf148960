"""Beam's Direct runner with workers that are killed, interrupted and left alone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from codepretrain.data.engines.beam import BeamEngine, beam_options
from tests.conftest import ROOT
from tests.fixtures.descendants import descendants, wait_for_end

TWO_PROCESSES = "--direct_running_mode=multi_processing --direct_num_workers=2"
TIMEOUT_S = 120.0
_COMMAND = """
import sys, time
from codepretrain.data.engines.beam import BeamEngine, beam_options
from codepretrain.errors import UserError
from tests.data.engines.test_beam_direct import double, hang, kill_worker
if __name__ == "__main__":
    task, options, folder = sys.argv[1:]
    engine = BeamEngine(beam_options(options, folder))
    tasks = [(folder, number) for number in range(8)]
    try:
        print(list(engine.map({"double": double, "hang": hang, "kill": kill_worker}[task], tasks)))
    except UserError as error:
        print(f"error: {error}")
    except KeyboardInterrupt:
        print("interrupted")
"""


def double(task: tuple[str, int]) -> int:
    return 2 * task[1]


def hang(task: tuple[str, int]) -> None:
    Path(task[0], "begun").touch()
    time.sleep(10 * TIMEOUT_S)


def kill_worker(task: tuple[str, int]) -> None:
    if task[1] == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.1)


def start(task: str, options: str, folder: Path) -> subprocess.Popen[str]:
    script = folder / "command.py"
    script.write_text(_COMMAND)
    temporary = folder / "temporary"
    temporary.mkdir()
    return subprocess.Popen(
        [sys.executable, script, task, options, folder],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_a_killed_worker_is_one_error(tmp_path: Path) -> None:
    process = start("kill", TWO_PROCESSES, tmp_path)
    try:
        out, _ = process.communicate(timeout=TIMEOUT_S)
    finally:
        process.kill()
    assert out == (
        "error: a worker process of Beam was killed, most likely out of memory: prepare again "
        "with fewer --direct_num_workers\n"
    )


@pytest.mark.parametrize("options", ["", TWO_PROCESSES])
def test_nothing_of_beam_is_printed(options: str, tmp_path: Path) -> None:
    out, err = start("double", options, tmp_path).communicate(timeout=TIMEOUT_S)
    assert (out, err) == ("[0, 2, 4, 6, 8, 10, 12, 14]\n", "")


@pytest.mark.parametrize("options", ["", TWO_PROCESSES])
@pytest.mark.parametrize("to_all", [False, True])
def test_interrupted_no_worker_is_left(options: str, to_all: bool, tmp_path: Path) -> None:
    """With `to_all`, as Ctrl-C in a terminal does."""
    process = start("hang", options, tmp_path)
    deadline = time.monotonic() + TIMEOUT_S
    while not (tmp_path / "begun").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    workers = descendants(process.pid)
    assert bool(workers) == (options != "")
    if to_all:
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=TIMEOUT_S)
    wait_for_end(workers, timeout_s=TIMEOUT_S)
    assert (out, err) == ("interrupted\n", "")
    assert not list((tmp_path / "temporary").iterdir())


def test_no_other_runner_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from apache_beam.runners.portability.prism_runner import PrismRunner

    def run(*_: object) -> None:
        pytest.fail("Prism is an executable that Beam downloads")

    monkeypatch.setattr(PrismRunner, "run_pipeline", run)
    for name in ("", "--runner=DirectRunner", "--runner=direct"):
        engine = BeamEngine(beam_options(name, tmp_path))
        assert list(engine.map(double, [("", 1), ("", 2)])) == [2, 4]
