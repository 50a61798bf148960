"""What `launch submit` and `launch resume` print while a job goes on."""

from pathlib import Path

import pytest

from codepretrain.cli import launch_follow
from codepretrain.files import storage
from codepretrain.launch import record_files
from codepretrain.launch.events import EventWriter, conductor_name, utc
from codepretrain.launch.job_folder import job_folder
from codepretrain.launch.machine import WatchdogConfig
from tests.launch.supervised import make_job


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
