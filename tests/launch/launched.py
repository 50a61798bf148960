"""A job under way on this machine, for tests that break it: its processes and what it records."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.launch import record_files
from codepretrain.launch.events import Event, read_events, seconds
from codepretrain.launch.fold import fold_events
from codepretrain.launch.job_folder import JobFolder, job_folder
from codepretrain.launch.records import HostRecord
from codepretrain.launch.states import JobState
from tests.conftest import ROOT

TIMEOUT_S = 240.0  # a hard limit for anything that is waited for


class Launched:
    """Keeps a job with `launch keep` while entered; kills what is left of it at the end."""

    def __init__(self, folder: JobFolder) -> None:
        self.folder = folder
        self.job = record_files.read_job_record(folder)
        self.keeper: subprocess.Popen[bytes] | None = None
        self.attached: list[subprocess.Popen[bytes]] = []  # to workers, with which they end

    def __enter__(self) -> Self:
        self.start_keeper()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill_all()

    def start_keeper(self) -> None:
        if self.keeper is not None:
            self.keeper.wait()  # it was killed
        self.keeper = self.command("keep")

    def command(self, name: str, *flags: str) -> "subprocess.Popen[bytes]":
        """Starts `codepretrain launch NAME JOB`."""
        words = [name, self.job.name, "--workdir", self.job.workdir, *flags]
        with Path(self.folder.path / f"{name}.output").open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "codepretrain", "launch", *words],
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={k: v for k, v in os.environ.items() if k != "XLA_FLAGS"},
            )

    def kill_all(self) -> None:
        """Kills the keeper and every process of the job."""
        for pid in [*self.keepers(), *self.supervisors().values(), *self.workers().values()]:
            send(pid, signal.SIGKILL)
        if self.keeper is not None:
            self.keeper.wait()
        for process in self.attached:
            process.wait()
        wait_for(lambda: not self.supervisors() and not self.workers(), "the end of all processes")

    # Processes

    def keepers(self) -> list[int]:
        return [p for p, words in processes().items() if self._is_of(words, "keep")]

    def supervisors(self) -> dict[int, int]:
        """Returns the supervisor of each host that has one."""
        found = {}
        for pid, words in processes().items():
            if self._is_of(words, "host"):
                found[int(words[words.index("--host") + 1])] = pid
        return found

    def workers(self) -> dict[int, int]:
        """Returns the worker of each host that has one, of those with devices."""
        found = {}
        for pid, words in processes().items():
            if "--attempt" in words and self.job.workdir in words:
                host = int(words[words.index("--process-id") + 1]) if "--process-id" in words else 0
                found[host] = pid
        return found

    def conductor(self) -> int | None:
        """Returns the host whose supervisor decides, None if none does now."""
        leases = sorted(Path(self.folder.conductor / ".lease").glob("*[0-9]"))
        if not leases:
            return None
        with contextlib.suppress(OSError, ValueError):
            lease = json.loads(leases[-1].read_text())
            if lease["state"] == "held":
                hosts = {pid: host for host, pid in self.supervisors().items()}
                return hosts.get(lease["pid"])
        return None

    def _is_of(self, words: list[str], command: str) -> bool:
        is_launch = words[3:6] == ["launch", command, self.job.name]
        return is_launch and self.job.workdir in words

    # Records

    def events(self) -> list[Event]:
        return read_events(self.folder.events)

    def state(self) -> JobState:
        return fold_events(self.events())

    def record(self, host: int) -> HostRecord | None:
        with contextlib.suppress(UserError):
            return record_files.read_hosts(self.folder, [host]).get(host)
        return None

    def step(self) -> int:
        """Returns the newest step that a running worker has reported, -1 if none has."""
        records = [self.record(host) for host in self.job.hosts]
        steps = [r.report.step for r in records if r and r.is_running and r.report]
        return max((step for step in steps if step is not None), default=-1)

    def is_stepping(self) -> bool:
        """Returns whether a gang with all its workers makes steps."""
        records = [self.record(host) for host in self.job.hosts]
        if any(r is None or not r.is_running or r.report is None for r in records):
            return False
        reports = [r.report for r in records if r is not None and r.report is not None]
        return all(
            r.step is not None and r.step > (r.resumed_step or 0) and r.activity != "save"
            for r in reports
        )

    def wait(self, until: Callable[[], Any], what: str, timeout_s: float = TIMEOUT_S) -> Any:
        return wait_for(until, what, self.described, timeout_s)

    def wait_event(self, after_s: float, kind: str, **fields: Any) -> Event:
        """Waits for an event of a kind that happened after a time, with these fields."""

        def found() -> Event | None:
            for event in self.events():
                is_new = event["event"] == kind and seconds(event["time"]) >= after_s
                if is_new and all(event.get(k) == v for k, v in fields.items()):
                    return event
            return None

        return self.wait(found, f"event {kind} {fields}")

    def wait_done(self, timeout_s: float = 1200.0) -> None:
        """Waits until the job is done and its processes have ended."""
        self.wait(lambda: self.state().is_over, "the end of the job", timeout_s)
        assert self.state().state == "DONE", self.described()
        self.wait(lambda: not self.supervisors(), "the end of the supervisors")

    def described(self) -> str:
        events = [{k: v for k, v in e.items() if k != "record"} for e in self.events()[-25:]]
        logs = Path(self.folder.path / "logs").glob("*/*.log")
        newest = sorted(logs, key=lambda path: path.stat().st_mtime)[-6:]
        tails = {f"{p.parent.name}/{p.name}": p.read_text()[-1500:] for p in newest}
        return "\n".join([*map(str, events), *(f"== {name}\n{t}" for name, t in tails.items())])


def submit(workdir: Path, *flags: str) -> Launched:
    """Starts a job by `launch submit`, detached from this process."""
    where = ["--workdir", str(workdir), "--detach", "--yes"]
    done = subprocess.run(
        [sys.executable, "-m", "codepretrain", "launch", "submit", *flags, *where],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        env={k: v for k, v in os.environ.items() if k not in ("XLA_FLAGS", "JAX_PLATFORMS")},
    )
    print(done.stdout, flush=True)
    name = re.search(r"^job (\S+)$", done.stdout, re.MULTILINE)
    assert done.returncode == 0, done
    assert name is not None, done
    return Launched(job_folder(storage.parse(workdir), name[1]))


def processes() -> dict[int, list[str]]:
    """Returns the command line of every process that runs Python."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                if (folder / "stat").read_text().rpartition(")")[2].split()[0] in "ZX":
                    continue
                words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if len(words) > 3 and words[1:3] == ["-m", "codepretrain"]:
                    found[int(folder.name)] = words
    return found


def send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def wait_for(
    until: Callable[[], Any],
    what: str,
    described: Callable[[], str] = str,
    timeout_s: float = TIMEOUT_S,
) -> Any:
    """Waits until a call returns something, and returns that."""
    deadline = time.monotonic() + timeout_s
    while not (value := until()):
        assert time.monotonic() < deadline, f"waited {timeout_s} s for {what}\n{described()}"
        time.sleep(0.1)
    return value
