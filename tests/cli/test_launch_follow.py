"""What `launch submit` and `launch resume` print while a job goes on."""

import io
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

from codepretrain.cli import launch_follow
from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.launch import record_files
from codepretrain.launch.events import EventWriter, conductor_name, utc
from codepretrain.launch.job_folder import job_folder
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
        "state state=QUEUED why=",
        "state state=PROVISIONING why=",
        "keeper message=requests a slice",
        "state state=STARTING why=",
        "state state=DONE why=",
    ]
