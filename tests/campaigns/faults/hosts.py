"""A job whose hosts the test keeps itself: each supervisor with its own mounts, network and clock.

Wrap(command, environment)    what is put before the supervisor's command, and around it
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from codepretrain.launch import requests
from codepretrain.launch.job_folder import JobFolder
from tests.conftest import ROOT
from tests.launch.launched import Launched, send


@dataclass(frozen=True)
class Wrap:
    """What makes a host differ from the machine: a command before its own, and variables."""

    command: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


PLAIN = Wrap()


def mounted(*commands: str) -> Wrap:
    """Returns a host with mounts of its own, made by shell commands."""
    script = " && ".join(["mount --make-rprivate /", *commands, 'exec "$@"'])
    return Wrap(("unshare", "--mount", "sh", "-c", script, "sh"))


class Hosts(Launched):
    """Starts supervisors that die again, as systemd does; one that ended with 0 is not."""

    def __init__(self, folder: JobFolder, wraps: Mapping[int, Wrap] | None = None) -> None:
        super().__init__(folder)
        self.wraps: dict[int, Wrap] = dict.fromkeys(self.job.hosts, PLAIN)
        self.wraps.update(wraps or {})
        self.absent: set[int] = set()  # hosts that are not started
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._done: set[int] = set()
        self._ends = threading.Event()
        self._thread: threading.Thread | None = None

    def start_keeper(self) -> None:
        self._ends.clear()
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    def kill_all(self) -> None:
        self._ends.set()
        if self._thread is not None:
            self._thread.join()
        super().kill_all()
        for process in self._processes.values():
            process.kill()
            process.wait()

    def set_host(self, host: int, wrap: Wrap) -> None:
        """Has a host start again as another one; its supervisor is killed."""
        self.wraps[host] = wrap
        send(self.supervisors()[host], signal.SIGKILL)

    def resume(self, *, retrain_lost: bool = False) -> None:
        """Does what `launch resume` does to a job that is over."""
        self.wait(lambda: self.state().is_over, "the end of the job")
        self.wait(lambda: self._done == set(self.job.hosts), "the end of the supervisors")
        requests.resume(self.folder, retrain_lost=retrain_lost)
        self._done.clear()

    def _keep(self) -> None:
        with Path(os.fspath(self.log_folder) + ".hosts").open("ab") as output:
            while not self._ends.wait(1.0):
                for host in set(self.job.hosts) - self.absent - self._done:
                    process = self._processes.get(host)
                    code = None if process is None else process.poll()
                    if process is not None and code is None:
                        continue
                    if code == 0:
                        self._done.add(host)
                        del self._processes[host]
                        continue
                    self._processes[host] = self._start(host, output.fileno())

    @property
    def log_folder(self) -> Path:
        """A local place for the output of the supervisors."""
        return Path(self.folder.path)

    def _start(self, host: int, output: int) -> "subprocess.Popen[bytes]":
        wrap = self.wraps[host]
        words = ["launch", "host", self.job.name, "--host", str(host)]
        where = ["--workdir", self.job.workdir]
        return subprocess.Popen(
            [*wrap.command, sys.executable, "-m", "codepretrain", *words, *where],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**{k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}, **wrap.environment},
            start_new_session=True,
        )


def run_folder(job: Launched) -> Path:
    """Returns the folder of the trunk's run."""
    [found] = Path(job.job.workdir).glob("runs/trunk-*")
    return found


def newest_checkpoint(job: Launched) -> Path:
    """Returns the newest committed checkpoint, waiting for one."""

    def find() -> Path | None:
        folders = [p for p in run_folder(job).glob("checkpoints/*") if p.name.isdigit()]
        whole = [p for p in folders if (p / "checkpoint.json").exists()]
        return max(whole, key=lambda p: int(p.name), default=None)

    return job.wait(find, "a checkpoint")


def wait_absent(path: Path) -> None:
    while path.exists():
        time.sleep(0.05)
