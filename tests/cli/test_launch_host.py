"""Supervisors, conductor and keeper as real processes; the work of the job takes no time."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from codepretrain.files import storage
from codepretrain.launch import record_files
from codepretrain.launch.events import read_events
from codepretrain.launch.fold import fold_events
from codepretrain.launch.job import Job, Stage
from codepretrain.launch.job_folder import JobFolder, job_folder
from codepretrain.launch.machine import LaunchConfig, MachineConfig, RestartConfig, WatchdogConfig
from tests.conftest import ROOT, Command

TIMEOUT_S = 120.0
DONE_AT_ONCE = ("--help",)
WRONG = ("no-such-command",)
Start = Callable[..., "subprocess.Popen[str]"]


def make(workdir: Path, *arguments: str, hosts: int = 2) -> JobFolder:
    """Writes a job of one stage that takes no device."""
    folder = job_folder(storage.parse(workdir), "job")
    job = Job(
        name="job",
        config="config.py",
        workdir=str(workdir),
        stages=(Stage(name="report", arguments=arguments, is_single=True),),
        launch=LaunchConfig(
            machine=MachineConfig(hosts=hosts),
            restart=RestartConfig(backoff_s=0.1),
            watchdog=WatchdogConfig(heartbeat_s=30.0, grace_s=5.0),
        ),
        hosts_per_slice=hosts,
    )
    record_files.create_job(folder, job, by="test")
    return folder


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts `codepretrain launch …`; what is left of it at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def run(*words: str) -> "subprocess.Popen[str]":
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "codepretrain", "launch", *words],
                cwd=ROOT,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={
                    k: v for k, v in os.environ.items() if k not in ("XLA_FLAGS", "JAX_PLATFORMS")
                },
            )
        )
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


def wait_until(found: Callable[[], object]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def pids(folder: JobFolder) -> list[int]:
    """Returns the supervisors that the keeper has started, from its events."""
    messages = [e["message"] for e in read_events(folder.events) if e["event"] == "keeper"]
    return [int(m.rpartition(" ")[2]) for m in messages if m.startswith("started the supervisor")]


def test_a_keeper_takes_a_job_to_its_end(tmp_path: Path, start: Start) -> None:
    folder = make(tmp_path, *DONE_AT_ONCE)
    keeper = start("keep", "job", "--workdir", str(tmp_path))
    output, _ = keeper.communicate(timeout=TIMEOUT_S)
    assert keeper.returncode == 0, output
    assert "the job is over, and its machines are gone" in output
    state = fold_events(read_events(folder.events))
    assert (state.state, state.why) == ("DONE", "all stages are done")
    assert len(pids(folder)) == 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids(folder))
    assert "usage: codepretrain" in storage.read_text(folder.log("report-1", 0))


def test_a_job_that_fails_is_resumed(tmp_path: Path, command: Command) -> None:
    """By `launch resume`, which follows the job and ends with its end."""
    folder = make(tmp_path, *WRONG, hosts=1)
    where = ("--workdir", tmp_path)
    result = command("launch", "resume", "job", *where)
    assert result.returncode == 2, result
    assert "job job is PLANNED: keeps its machines" in result.stdout
    assert "there is no command 'no-such-command'" in result.stdout
    assert result.stderr.splitlines()[-1].startswith("codepretrain: job job is FAILED: report: ")
    assert fold_events(read_events(folder.events)).state == "FAILED"
    again = command("launch", "stop", "job", *where)
    assert again.returncode == 2
    assert again.stderr == "codepretrain: job job is FAILED: there is nothing to stop\n"
    again = command("launch", "resume", "job", *where)
    assert again.returncode == 2, again
    assert "job job goes on from FAILED" in again.stdout
    causes = [e["cause"] for e in read_events(folder.events) if e["event"] == "end"]
    assert causes == ["user_error", "user_error"]


def test_supervisors_outlive_their_keeper(tmp_path: Path, start: Start) -> None:

    folder = make(tmp_path, *DONE_AT_ONCE, hosts=1)
    keeper = start("keep", "job", "--workdir", str(tmp_path))
    wait_until(lambda: pids(folder))
    keeper.kill()
    keeper.wait()
    wait_until(lambda: fold_events(read_events(folder.events)).state == "DONE")
    [pid] = pids(folder)
    wait_until(lambda: not Path(f"/proc/{pid}").exists())


def test_the_second_supervisor_of_a_host_is_refused(tmp_path: Path, start: Start) -> None:
    make(tmp_path, *DONE_AT_ONCE, hosts=2)  # host 1 is missing: the job waits
    first = start("host", "job", "--host", "0", "--workdir", str(tmp_path))
    wait_until((tmp_path / "jobs" / "job" / "hosts" / "0.json").exists)
    second = start("host", "job", "--host", "0", "--workdir", str(tmp_path))
    output, _ = second.communicate(timeout=TIMEOUT_S)
    assert second.returncode == 2
    assert len(output.splitlines()) == 1
    assert f"hosts/0.lease is in use by process {first.pid} on " in output
    assert first.poll() is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_supervisor_that_is_told_to_leave(tmp_path: Path, start: Start, number: int) -> None:
    folder = make(tmp_path, *DONE_AT_ONCE, hosts=2)
    supervisor = start("host", "job", "--host", "0", "--workdir", str(tmp_path))
    wait_until((tmp_path / "jobs" / "job" / "hosts" / "0.json").exists)
    supervisor.send_signal(number)
    output, _ = supervisor.communicate(timeout=TIMEOUT_S)
    assert supervisor.returncode == 128 + number, output
    assert "was told to leave" in output
    assert "Traceback" not in output
    assert record_files.read_hosts(folder)[0].is_preempted
    leases = sorted((tmp_path / "jobs" / "job" / "conductor" / ".lease").iterdir())
    assert [json.loads(lease.read_text())["state"] for lease in leases[-1:]] in ([], ["released"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("host", "none", "--host", "0"), "JOB: there is no job 'none' in .*; there are job"),
        (("host", "job", "--host", "2"), r"--host: expected 0 to 1, got 2"),
        (("host", "job", "--host", "-1"), "--host: expected a whole number, at least 0"),
        (("host", "job"), "the following arguments are required: --host"),
        (("keep", "none"), "JOB: there is no job 'none'"),
        (("stop", "A B"), "JOB: expected lower-case letters"),
        (("resume", "job", "--max-price", "-3"), "--max-price: expected a number above 0, got -3"),
        (("stop", "job", "--config.name=x"), "unknown argument '--config.name=x'"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, command: Command, words: tuple[str, ...], message: str
) -> None:
    make(tmp_path, *DONE_AT_ONCE)
    result = command("launch", *words, "--workdir", tmp_path)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert re.search(message, result.stderr), result.stderr
