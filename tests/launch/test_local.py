"""The supervisors of a job on this machine: fake ones, which live as long as they are told."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from codepretrain.files import storage
from codepretrain.launch.host_hold import held
from codepretrain.launch.job_folder import JobFolder, job_folder
from codepretrain.launch.local import LocalHosts
from codepretrain.launch.machine import WatchdogConfig
from tests.launch.supervised import make_job, wait_for

# A supervisor that ends with the code in a file, when there is one; its arguments are recorded.
_FAKE = """
import os, sys, time
folder, arguments = sys.argv[1], sys.argv[2:]
host = arguments[arguments.index("--host") + 1]
print(*arguments, flush=True)
while not os.path.exists(f"{folder}/end-{host}"):
    time.sleep(0.01)
code = int(open(f"{folder}/end-{host}").read() or 0)
os.unlink(f"{folder}/end-{host}")
print("last words", flush=True)
sys.exit(code)
"""


class Hosts:
    """Two hosts, and a clock."""

    def __init__(self, tmp_path: Path) -> None:
        self.path = tmp_path
        self.folder: JobFolder = job_folder(storage.parse(tmp_path / "workdir"), "job")
        self.now = 1000.0
        self.notes: list[str] = []
        self.hosts = self.make()

    def make(self) -> LocalHosts:
        (self.path / "fake.py").write_text(_FAKE)
        return LocalHosts(
            self.folder,
            make_job(self.path / "workdir", hosts=2, watchdog=WatchdogConfig(heartbeat_s=5)),
            command=[sys.executable, "-S", str(self.path / "fake.py"), str(self.path)],
            environment=dict(os.environ),
            note=self.notes.append,
        )

    def tick(self, *, is_over: bool = False, after_s: float = 0.0) -> bool:
        self.now += after_s
        return self.hosts.tick(is_over=is_over, now=self.now)

    def end(self, host: int, code: int) -> None:
        (self.path / f"end-{host}").write_text(str(code))

    def wait_note(self, text: str) -> None:
        def found() -> bool:
            self.tick()
            return any(text in note for note in self.notes)

        wait_for(found, lambda: str(self.notes))

    def log(self, host: int) -> str:
        path = Path(self.folder.log("hosts", host))
        return path.read_text() if path.exists() else ""


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    hosts = Hosts(tmp_path)
    yield hosts
    for pid in hosts.hosts.pids().values():
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: hosts.tick(is_over=True))


def test_every_host_gets_a_supervisor_in_a_session_of_its_own(hosts: Hosts) -> None:
    assert not hosts.tick()
    pids = hosts.hosts.pids()
    assert sorted(pids) == [0, 1]
    assert all(os.getsid(pid) == pid for pid in pids.values())
    workdir = hosts.path / "workdir"
    for host in pids:
        wait_for(lambda host=host: hosts.log(host))  # type: ignore[misc]
        assert hosts.log(host) == f"launch host job --host {host} --workdir {workdir}\n"
    hosts.tick(after_s=100)
    assert hosts.hosts.pids() == pids


def test_one_that_dies_is_started_again_after_longer_and_longer_pauses(hosts: Hosts) -> None:
    hosts.tick()
    pauses = []
    for number in range(1, 4):
        pid = hosts.hosts.pids()[1]
        os.kill(pid, signal.SIGKILL)
        hosts.wait_note(f"starts it again in {2**number} s")
        pauses.append(2**number)
        hosts.tick(after_s=2**number - 0.5)
        assert 1 not in hosts.hosts.pids()
        hosts.tick(after_s=1)
        assert hosts.hosts.pids()[1] != pid
    assert "the supervisor of host 1 ended with -9; starts it again in 2 s" in hosts.notes


def test_one_that_had_started_well_is_started_again_soon(hosts: Hosts) -> None:
    hosts.tick()
    hosts.tick(after_s=500)
    hosts.end(0, 3)
    hosts.wait_note("the supervisor of host 0 ended with 3: last words; starts it again in 1 s")


def test_a_stopped_one_is_killed(hosts: Hosts) -> None:
    hosts.tick()
    pid = hosts.hosts.pids()[0]
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: hosts.tick(after_s=0.1) or hosts.hosts._hosts[0].stopped_since_s)
    hosts.tick(after_s=9.5)  # twice the heartbeat is 10 s
    assert hosts.hosts.pids()[0] == pid
    hosts.tick(after_s=1)
    hosts.wait_note("the supervisor of host 0 ended with -9")


def test_one_that_goes_on_in_time_is_left_alone(hosts: Hosts) -> None:
    hosts.tick()
    pid = hosts.hosts.pids()[0]
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: hosts.tick(after_s=0.1) or hosts.hosts._hosts[0].stopped_since_s)
    os.kill(pid, signal.SIGCONT)
    wait_for(lambda: hosts.tick() or hosts.hosts._hosts[0].stopped_since_s is None)
    hosts.tick(after_s=100)
    assert hosts.hosts.pids()[0] == pid


def test_it_is_over_when_all_supervisors_say_so(hosts: Hosts) -> None:
    hosts.tick()
    hosts.end(0, 0)
    wait_for(lambda: hosts.tick() or 0 not in hosts.hosts.pids())
    hosts.tick(after_s=100)
    assert 0 not in hosts.hosts.pids()
    hosts.end(1, 0)
    wait_for(hosts.tick)


def test_once_the_job_is_over_nothing_is_started_and_what_stays_is_told_to_end(
    hosts: Hosts,
) -> None:
    hosts.tick()
    hosts.end(0, 1)
    wait_for(lambda: hosts.tick(is_over=True) or 0 not in hosts.hosts.pids())
    hosts.tick(is_over=True, after_s=50)
    assert sorted(hosts.hosts.pids()) == [1]
    wait_for(lambda: hosts.tick(is_over=True, after_s=20))
    assert "the supervisor of host 1 does not end: SIGTERM" in hosts.notes


def test_one_that_stays_is_told_to_end_once(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts.tick()
    hosts.tick(is_over=True)
    sent: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(subprocess.Popen, "terminate", lambda process: sent.append(process.pid))
        hosts.tick(is_over=True, after_s=61)
        for _ in range(4):
            hosts.tick(is_over=True, after_s=14)  # 60 s later they are killed
        assert sorted(sent) == sorted(hosts.hosts.pids().values())
    assert sum(note.endswith("does not end: SIGTERM") for note in hosts.notes) == 2


def test_one_that_ignores_sigterm_is_killed(hosts: Hosts) -> None:
    """Without that its keeper would never end, and hold the machine for ever."""
    ignores = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    (hosts.path / "fake.py").write_text(ignores + _FAKE)
    hosts.tick()
    for host in (0, 1):
        wait_for(lambda host=host: hosts.log(host))  # type: ignore[misc]
    hosts.tick(is_over=True)
    hosts.tick(is_over=True, after_s=61)
    assert len(hosts.hosts.pids()) == 2
    hosts.tick(is_over=True, after_s=30)  # the grace of its worker
    assert len(hosts.hosts.pids()) == 2
    hosts.tick(is_over=True, after_s=31)
    wait_for(lambda: hosts.tick(is_over=True))
    killed = [note for note in hosts.notes if note.endswith("does not end: SIGKILL")]
    assert len(killed) == 2


def test_what_cannot_be_started_for_long_is_noted_once(hosts: Hosts) -> None:
    hosts.hosts._command = [str(hosts.path / "there-is-no-such-program")]
    for _ in range(20):
        hosts.tick(after_s=6)
    assert len(hosts.notes) == 2
    assert all("cannot start the supervisor of host" in note for note in hosts.notes)


def test_a_supervisor_of_an_earlier_keeper_is_left_alone(hosts: Hosts) -> None:
    with held(hosts.folder, 1, announce=print):
        hosts.tick()
        assert sorted(hosts.hosts.pids()) == [0]
        hosts.tick(after_s=10)
        assert hosts.notes.count("host 1 has a supervisor already") == 1
    hosts.tick(after_s=10)  # it has ended
    assert sorted(hosts.hosts.pids()) == [0, 1]
