"""Which logs there are, and what is read of them."""

from pathlib import Path

import pytest

from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.launch.events import read_events
from codepretrain.launch.job_folder import JobFolder
from codepretrain.launch.logs import Log, check_there, find_logs
from tests.launch import told_job as told

AGAIN = (*told.CRASHED, told.started(145, 2, expected=40))


def find(folder: JobFolder, workdir: Path, **which: object) -> tuple[str, list[str]]:
    job = told.make_job(workdir=str(workdir))
    name, logs = find_logs(folder, job, read_events(folder.events), **which)  # type: ignore[arg-type]
    return name, [f"{log.label} {log.path.name}" for log in logs]


def test_the_newest_attempt_is_the_default(tmp_path: Path) -> None:
    folder = told.write(tmp_path, *AGAIN)
    assert find(folder, tmp_path) == ("train.a-2", ["host 0 0.log", "host 1 1.log"])
    assert find(folder, tmp_path, host=1) == ("train.a-2", ["host 1 1.log"])
    assert find(folder, tmp_path, attempt="train.a-1")[0] == "train.a-1"
    assert find(folder, tmp_path, stage="train.a")[0] == "train.a-2"


def test_a_process_is_found_by_its_host(tmp_path: Path) -> None:
    """After a slice is lost, host 1 may be process 0."""
    start = told.started(145, 2)
    start["record"] = {**start["record"], "hosts": [1]}
    folder = told.write(tmp_path, *told.CRASHED, start)
    assert find(folder, tmp_path) == ("train.a-2", ["host 1 0.log"])
    with pytest.raises(UserError, match=r"--host: train\.a-2 ran on hosts 1, not on host 0"):
        find(folder, tmp_path, host=0)


def test_supervisors_have_logs_where_a_keeper_starts_them(tmp_path: Path) -> None:
    folder = told.write(tmp_path, *AGAIN)
    with pytest.raises(UserError, match=r"there is no log of supervisors in .*: they run on other"):
        find(folder, tmp_path, attempt="hosts")
    for host in (0, 1):
        path = Path(folder.log("hosts", host))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x\n")
    assert find(folder, tmp_path, attempt="hosts") == ("hosts", ["host 0 0.log", "host 1 1.log"])


@pytest.mark.parametrize(
    ("which", "message"),
    [
        ({"host": 2}, "--host: expected 0 to 1, got 2"),
        ({"attempt": "train.a-3"}, "there is no attempt 'train.a-3'; did you mean"),
        ({"stage": "train.b"}, "there is no stage 'train.b'; did you mean train.a?"),
        (
            {"stage": "report"},
            "--stage: report has not started yet; there are train.a-1, train.a-2",
        ),
    ],
)
def test_what_is_not_there_is_named(tmp_path: Path, which: dict, message: str) -> None:
    folder = told.write(tmp_path, *AGAIN)
    with pytest.raises(UserError) as error:
        find(folder, tmp_path, **which)
    assert message in str(error.value)


def test_why_an_attempt_has_no_output(tmp_path: Path) -> None:
    folder = told.write(tmp_path, *AGAIN)
    events = read_events(folder.events)
    job = told.make_job(workdir=str(tmp_path))
    for attempt, why in (
        ("train.a-1", "it ended with crash: host 1: killed by SIGKILL"),
        ("train.a-2", "its workers have not started yet"),
    ):
        name, logs = find_logs(folder, job, events, attempt=attempt)
        with pytest.raises(UserError, match=why):
            check_there(folder, name, logs, events)


@pytest.mark.parametrize("address", ["local", "memory"])
def test_lines_as_they_are_added(tmp_path: Path, address: str) -> None:
    root = str(tmp_path) if address == "local" else f"memory://logs-{tmp_path.name}"
    path = storage.parse(f"{root}/0.log")
    log = Log(label="host 0", path=path)

    def put(content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    assert log.new_lines() == []
    put(b"one\ntw")
    assert log.new_lines() == ["one"]
    put(b"one\ntwo\n10%\r20%\r30%\n\xff")
    assert log.new_lines() == ["two", "30%"]
    assert log.new_lines() == []
    assert log.new_lines(is_last=True) == ["\ufffd"]
    put(b"new\n")  # a copy of which more was left out
    assert log.new_lines() == ["new"]
