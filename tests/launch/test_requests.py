"""What may be asked of a job in each state."""

from pathlib import Path
from typing import Any

import pytest

from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.files.lease import expiring
from codepretrain.launch import record_files, requests
from codepretrain.launch.events import EventWriter, conductor_name, utc
from codepretrain.launch.job_folder import JobFolder, job_folder
from codepretrain.launch.keeper import keeper_folder
from codepretrain.launch.machine import WatchdogConfig
from codepretrain.launch.requests import resume, stop
from tests.launch.supervised import make_job

_BEGUN = ("QUEUED", "PROVISIONING")


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    folder = job_folder(storage.parse(tmp_path), "job")
    record_files.create_job(folder, make_job(tmp_path, watchdog=WatchdogConfig()), by="test")
    return folder


def happened(folder: JobFolder, *states: str, **fields: Any) -> None:
    """Writes the events of a conductor that has gone through these states."""
    term = len(storage.names(folder.events)) + 1
    with EventWriter(folder.events, conductor_name(term)) as writer:
        seen = {} if term == 1 else {conductor_name(1): 99}
        writer.append([{"event": "term", "time": utc(term), "term": term, "seen": seen}])
        writer.append(
            [{"event": "state", "time": utc(term), "state": s, "why": "because"} for s in states]
        )
        for event, values in fields.items():
            writer.append([{"event": event, "time": utc(term), **values}])


def asked(folder: JobFolder) -> list[tuple[int, str]]:
    return [(r.number, r.kind) for r in record_files.read_requests(folder)]


def test_a_job_is_stopped_once(folder: JobFolder) -> None:
    happened(folder, *_BEGUN)
    assert stop(folder).number == 1
    again = stop(folder)
    assert again.number == 1
    assert "a stop is asked for" in again.message
    assert asked(folder) == [(1, "stop")]


@pytest.mark.parametrize("state", ["STOPPED", "FAILED", "OVER_BUDGET"])
def test_one_that_is_over_is_not_stopped_but_resumed(folder: JobFolder, state: str) -> None:
    happened(folder, *_BEGUN, state)
    with pytest.raises(UserError, match=rf"job job is {state}: there is nothing to stop"):
        stop(folder)
    assert resume(folder, max_chip_hours=3.0).number == 1
    [request] = record_files.read_requests(folder)
    assert (request.kind, request.max_chip_hours) == ("resume", 3.0)
    assert stop(folder).number == 2  # before anybody has taken the resume


def test_one_that_is_done_is_not_resumed(folder: JobFolder) -> None:
    happened(folder, *_BEGUN, "DONE")
    with pytest.raises(UserError, match="job job is DONE: there is nothing to resume"):
        resume(folder)


def test_a_cap_that_is_reached_must_be_raised(folder: JobFolder) -> None:
    happened(folder, *_BEGUN, "OVER_BUDGET")
    with pytest.raises(UserError, match="OVER_BUDGET: because; raise the cap with --max-chip"):
        resume(folder)
    assert asked(folder) == []


def test_a_keeper_with_a_wrong_clock_does_not_hide_that_a_cap_is_reached(
    folder: JobFolder,
) -> None:
    happened(folder, *_BEGUN, "OVER_BUDGET")
    with EventWriter(folder.events, "keeper-1") as writer:
        writer.append([{"event": "state", "time": utc(3600), "state": "QUEUED", "why": "slices"}])
    assert requests.state_of(folder).state == "QUEUED"
    with pytest.raises(UserError, match="raise the cap with --max-chip"):
        resume(folder)


def test_one_that_runs_gets_a_keeper_only_if_it_has_none(
    folder: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "TTL_S", 0.5)
    happened(folder, *_BEGUN)
    found = resume(folder)
    assert found.number is None
    assert "keeps its machines" in found.message
    with (
        expiring(keeper_folder(folder), ttl_s=0.5),
        pytest.raises(UserError, match="job job is PROVISIONING: there is nothing to resume"),
    ):
        resume(folder)
    with pytest.raises(UserError, match="stop it first, to change its budget"):
        resume(folder, max_price=3.0)
    assert asked(folder) == []


def test_one_that_is_stopping_may_be_resumed(folder: JobFolder) -> None:
    happened(folder, *_BEGUN, request={"request": "stop", "number_of_request": 1})
    assert resume(folder).number is not None


def test_one_whose_stop_is_not_taken_yet_may_be_resumed(folder: JobFolder) -> None:
    happened(folder, *_BEGUN)
    assert stop(folder).number == 1
    assert resume(folder).number == 2
    assert asked(folder) == [(1, "stop"), (2, "resume")]
