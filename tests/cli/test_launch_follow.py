"""What `launch submit` and `launch resume` print while a job goes on."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

from codepretrain.cli import launch_follow, launch_logs
from codepretrain.cli.main import main
from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.launch import record_files
from codepretrain.launch.events import EventReader, EventWriter, conductor_name, utc
from codepretrain.launch.job_folder import JobFolder, job_folder
from codepretrain.launch.machine import WatchdogConfig
from tests.launch import told_job as told
from tests.launch.supervised import make_job


def test_a_terminal_shows_the_status_that_refreshes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = told.write(tmp_path, *told.CRASHED)
    writer = EventWriter(folder.events, conductor_name(2))
    seen = {told.WRITER: len(told.CRASHED) + 1}
    writer.append([{**told.event(200, "term", term=2), "seen": seen}])
    screen = Console(force_terminal=True, width=100, file=(shown := io.StringIO()))
    monkeypatch.setattr(launch_follow, "console", lambda: screen)

    def meanwhile(_: float) -> None:
        for event in (told.state(300, "STARTING"), told.state(310, "STOPPED", "by a request")):
            writer.append([event])

    monkeypatch.setattr(launch_follow.time, "sleep", meanwhile)
    with pytest.raises(UserError, match="job told is STOPPED: by a request"):
        launch_follow.follow(folder)
    writer.close()
    lines = Text.from_ansi(shown.getvalue()).plain
    assert lines.index("RESTARTING since") < lines.index("STOPPED since")
    assert capsys.readouterr().out == ""  # no event lines


def test_an_event_between_two_that_were_printed_is_printed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = job_folder(storage.parse(tmp_path), "job")
    record_files.create_job(folder, make_job(tmp_path, watchdog=WatchdogConfig()), by="test")
    conductor = EventWriter(folder.events, conductor_name(1))
    conductor.append([{"event": "term", "time": utc(1), "term": 1, "seen": {}}])
    for second, state in enumerate(("QUEUED", "PROVISIONING"), start=2):
        conductor.append([{"event": "state", "time": utc(second), "state": state, "why": ""}])

    def meanwhile(_: float) -> None:
        with EventWriter(folder.events, "keeper-1") as keeper:  # its clock is behind
            keeper.append([{"event": "keeper", "time": utc(2.5), "message": "requests a slice"}])
        for state in ("STARTING", "DONE"):
            conductor.append([{"event": "state", "time": utc(4), "state": state, "why": ""}])

    monkeypatch.setattr(launch_follow.time, "sleep", meanwhile)
    assert launch_follow.follow(folder) == 0
    conductor.close()
    assert [line.split(maxsplit=1)[1] for line in capsys.readouterr().out.splitlines()] == [
        "state state=QUEUED",
        "state state=PROVISIONING",
        "keeper message=requests a slice",
        "state state=STARTING",
        "state state=DONE",
    ]


@pytest.fixture
def done(tmp_path: Path) -> JobFolder:
    """A job that is done."""
    folder = job_folder(storage.parse(tmp_path), "job")
    record_files.create_job(folder, make_job(tmp_path, watchdog=WatchdogConfig()), by="test")
    with EventWriter(folder.events, conductor_name(1)) as conductor:
        conductor.append([{"event": "term", "time": utc(1), "term": 1, "seen": {}}])
        for state in ("QUEUED", "PROVISIONING", "STARTING", "DONE"):
            conductor.append([{"event": "state", "time": utc(2), "state": state, "why": ""}])
    return folder


class Clock:
    """A clock that `sleep` moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 1000.0
        for module in (launch_follow, launch_logs):
            monkeypatch.setattr(module.time, "sleep", self.sleep)
        monkeypatch.setattr(launch_follow.time, "monotonic", lambda: self.now_s)

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.mark.parametrize("command", ["follow", "logs", "status"])
def test_a_storage_that_fails_for_a_while_does_not_end_it(
    command: str,
    done: JobFolder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Clock(monkeypatch)
    read, failures = EventReader.read, iter(range(20))

    def failing(self: EventReader) -> list:
        if next(failures, None) is not None:
            raise UserError("cannot list events: no network")
        return read(self)

    workdir = str(done.path.parent.parent)
    if command == "logs":
        path = Path(done.log("hosts", 0))
        path.parent.mkdir(parents=True)
        path.write_text("a line\n")
        next(failures)  # of the first look, which is an error if it fails
        monkeypatch.setattr(launch_logs, "EventReader", _after_one(failing))
        where = ["--workdir", workdir, "--attempt", "hosts", "--follow"]
        assert main(["launch", "logs", "job", *where]) == 0
    else:
        monkeypatch.setattr(EventReader, "read", failing)
        if command == "status":
            assert main(["launch", "status", "job", "--workdir", workdir, "--follow"]) == 0
        else:
            assert launch_follow.follow(done) == 0
    printed = capsys.readouterr()
    everything = printed.out + printed.err
    assert everything.count("cannot list events: no network; tries again") == 1
    assert "the storage works again, after" in everything
    assert {"follow": "state=DONE", "logs": "a line", "status": "DONE"}[command] in printed.out


def _after_one(failing: Callable[[EventReader], list]) -> type[EventReader]:
    """Returns a reader whose first read succeeds."""

    class Reader(EventReader):
        is_first = True

        def read(self) -> list:
            if self.is_first:
                self.is_first = False
                return super().read()
            return failing(self)

    return Reader


def test_a_storage_that_fails_for_long_ends_it(
    done: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)

    def failing(self: EventReader) -> list:
        raise UserError("cannot list events: no network")

    monkeypatch.setattr(EventReader, "read", failing)
    with pytest.raises(UserError, match="no network; gave up after 600 s"):
        launch_follow.follow(done)
    assert clock.now_s == 1600.0


def test_a_narrow_console_prints_brackets_as_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    screen = launch_follow.console()
    screen.print("[red] is a name")
    assert screen.width == 80
    assert capsys.readouterr().out == "[red] is a name\n"
