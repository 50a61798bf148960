"""A supervisor under test: in a thread, with orders that the test writes, and fake workers."""

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from etils import epath

from codepretrain.launch import record_files
from codepretrain.launch.job import Job, Stage
from codepretrain.launch.job_folder import JobFolder, job_folder
from codepretrain.launch.machine import LaunchConfig, MachineConfig, WatchdogConfig
from codepretrain.launch.records import Attempt, HostRecord, Orders
from codepretrain.launch.supervisor import Supervisor
from codepretrain.launch.worker_start import Settings

FAKE = Path(__file__).parent / "fake_worker.py"
COMMAND = (sys.executable, "-S", str(FAKE))
TIMEOUT_S = 30.0
PERIOD_S = 0.05


def make_job(workdir: epath.Path | Path, *, hosts: int = 1, watchdog: WatchdogConfig) -> Job:
    return Job(
        name="job",
        config="config.py",
        workdir=str(workdir),
        stages=(Stage(name="train.trunk", arguments=("train",), phase="trunk"),),
        launch=LaunchConfig(machine=MachineConfig(hosts=hosts), watchdog=watchdog),
        hosts_per_slice=hosts,
    )


class Supervised:
    """A job's folder with a supervisor of its host 0."""

    def __init__(self, workdir: epath.Path, scratch: Path, **watchdog: float) -> None:
        self.folder: JobFolder = job_folder(workdir, "job")
        self.job = make_job(workdir, watchdog=WatchdogConfig(**watchdog))
        self.scratch = scratch
        self.term = 1
        self.signal_number = 0
        self.now_s: Callable[[], float] = time.monotonic
        self.is_taken: Exception | None = None
        self.notes: list[str] = []
        self.error: BaseException | None = None
        self.supervisor: Supervisor | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> Self:
        """Starts a supervisor, after the last one has ended."""
        self.signal_number = 0
        settings = Settings(
            host=0,
            command=COMMAND,
            scratch=self.scratch,
            environment=dict(os.environ),
            period_s=PERIOD_S,
            tick_s=0.01,
        )
        self.supervisor = Supervisor(
            self.folder,
            self.job,
            settings,
            check=self._check,
            signal_number=lambda: self.signal_number,
            note=self.notes.append,
            now_s=lambda: self.now_s(),
        )
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def _check(self) -> None:
        if self.is_taken is not None:
            raise self.is_taken

    def _run(self) -> None:
        assert self.supervisor is not None
        try:
            self.supervisor.run()
        except BaseException as error:
            self.error = error

    def attempt(self, number: int, *words: str, **changes: Any) -> Attempt:
        """Returns an attempt whose worker does what the words say, and writes its file."""
        fields: dict[str, Any] = {
            "id": f"train.trunk-{number}",
            "stage": "train.trunk",
            "number": number,
            "hosts": (0,),
            "coordinator": None,
            "expected_step": None,
            "arguments": words,
        }
        attempt = Attempt(**{**fields, **changes})
        record_files.create_attempt(self.folder, attempt, by="test")
        return attempt

    def order(self, *running: Attempt, **orders: Any) -> None:
        """Writes orders of the current term."""
        record_files.write_orders(
            self.folder, Orders(**{"term": self.term, "running": running, **orders}), by="test"
        )

    @property
    def record(self) -> HostRecord | None:
        return record_files.read_hosts(self.folder, [0]).get(0)

    def wait(self, until: Callable[[HostRecord], object]) -> HostRecord:
        """Waits until the record of the host is as it should be."""
        return wait_for(lambda: (r := self.record) is not None and until(r) and r, self.described)

    def wait_beats(self, number: int = 3) -> HostRecord:
        """Waits until the supervisor has obeyed whatever was written before."""
        first = self.wait(lambda record: True).beat
        return self.wait(lambda record: record.beat >= first + number)

    def wait_end(self) -> None:
        """Waits until the supervisor has ended."""
        assert self._thread is not None
        self._thread.join(TIMEOUT_S)
        assert not self._thread.is_alive(), self.described()

    def log(self, attempt: str, process: int = 0) -> str:
        path = Path(self.folder.log(attempt, process))
        return path.read_text() if path.exists() else ""

    def described(self) -> str:
        return f"{self.record}; {self.notes}; {self.error!r}"

    def close(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            self.signal_number = 15
            if self.supervisor is not None:
                self.supervisor._grace_s = 0.1
            self._thread.join(TIMEOUT_S)


def wait_for(found: Callable[[], Any], described: Callable[[], str] = str) -> Any:
    """Waits until a call returns something, and returns that."""
    deadline = time.monotonic() + TIMEOUT_S
    while not (value := found()):
        assert time.monotonic() < deadline, described()
        time.sleep(0.01)
    return value
