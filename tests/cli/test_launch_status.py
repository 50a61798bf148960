"""`launch status`, `launch logs` and `launch cost`, with the mistakes that people make."""

import json
from pathlib import Path

import pytest

from codepretrain.cli.main import main
from codepretrain.launch import record_files
from codepretrain.launch.job_folder import JobFolder
from tests.launch import told_job as told

COMMANDS = ("status", "logs", "cost")
DONE = (
    told.state(300, "STARTING"),
    told.started(300, 2),
    told.ended(310, 2, "done", step=100),
    told.state(310, "STOPPED", "stopped by a request"),
)


def launch(command: str, workdir: Path, *flags: str, job: str = "told") -> int:
    return main(["launch", command, job, "--workdir", str(workdir), *flags])


def line_of(capsys: pytest.CaptureFixture[str]) -> str:
    found = capsys.readouterr()
    assert found.out == ""
    assert found.err.count("\n") == 1, found.err
    assert "Traceback" not in found.err
    return found.err


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    return told.write(tmp_path, *told.CRASHED, *DONE)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_typo_in_a_flag(
    command: str, folder: JobFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert launch(command, tmp_path, "--jsno") == 2
    assert "unknown argument '--jsno'" in line_of(capsys)


def test_a_typo_in_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["launch", "staus", "told"]) == 2
    assert "there is no command 'launch staus'; did you mean status?" in line_of(capsys)


@pytest.mark.parametrize("command", [*COMMANDS, "stop", "resume"])
def test_without_a_job_those_that_there_are_are_named(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The newest first, whatever their study."""
    assert main(["launch", command, "--workdir", str(tmp_path)]) == 2
    assert f"JOB: expected the name of a job in {tmp_path}; there are none" in line_of(capsys)
    for name in ("b-20261127-031500-4f2a", "a-20261127-041500-4f2a", "c-20261126-041500-4f2a"):
        (tmp_path / "jobs" / name).mkdir(parents=True)
    assert main(["launch", command, "--workdir", str(tmp_path)]) == 2
    listed = "a-20261127-041500-4f2a, b-20261127-031500-4f2a, c-20261126-041500-4f2a"
    assert f"; there are {listed}" in line_of(capsys)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("job", "message"),
    [
        ("other", "there is no job 'other' in {workdir}; there are told"),
        ("tolld", "there is no job 'tolld' in {workdir}; did you mean told?"),
        ("../told", "JOB: expected lower-case letters"),
    ],
)
def test_a_wrong_job(
    command: str,
    job: str,
    message: str,
    folder: JobFolder,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert launch(command, tmp_path, job=job) == 2
    assert message.format(workdir=tmp_path) in line_of(capsys)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_workdir(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert launch(command, tmp_path / "elsewhere") == 2
    assert "there is no job 'told'" in line_of(capsys)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_job_of_a_newer_format(
    command: str, folder: JobFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A field that it needs has another name there."""
    text = Path(folder.job).read_text()
    Path(folder.job).write_text(
        text.replace('"stages"', '"parts"').replace('"format": 1', '"format": 2')
    )
    assert launch(command, tmp_path) == 2
    line = line_of(capsys)
    assert "stages" in line
    assert "newer version" in line


@pytest.mark.parametrize("command", ["status", "cost"])
def test_a_newer_format_with_more_fields_can_be_read(
    command: str, folder: JobFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads(Path(folder.job).read_text())
    content["format"] = 2
    content["record"]["color"] = "green"
    Path(folder.job).write_text(json.dumps(content))
    assert launch(command, tmp_path, "--json") == 0
    assert json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("content", ["", '{"format": 1, "by"', "[]", '{"format": 1}'])
def test_a_half_written_job(
    command: str,
    content: str,
    folder: JobFolder,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path(folder.job).write_text(content)
    assert launch(command, tmp_path) == 2
    assert "job.json" in line_of(capsys)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ('{"event": "sav', "line 5 is damaged"),
        ('{"event": "state"}', "line 5 is damaged"),
        (
            '{"event": "saved", "attempt": "train.z-9", "step": 1, "time": '
            '"2026-11-18T10:00:00.000+00:00", "writer": "conductor-000001", "number": 5}',
            "is of train.z-9, which does not run",
        ),
    ],
)
def test_a_damaged_event(
    command: str,
    damage: str,
    message: str,
    folder: JobFolder,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = Path(folder.events / f"{told.WRITER}.jsonl")
    lines = path.read_text().splitlines()
    lines[4] = damage
    path.write_text("\n".join(lines) + "\n")
    assert launch(command, tmp_path) == 2
    assert message in line_of(capsys)


def test_no_events_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A job that was just submitted: its status and cost are known, it has no output."""
    folder = told.write(tmp_path)
    for make in (lambda: None, lambda: Path(folder.events).mkdir()):
        make()
        assert launch("status", tmp_path, "--json") == 0
        assert json.loads(capsys.readouterr().out)["state"] == "PLANNED"
        assert launch("cost", tmp_path, "--json") == 0
        assert json.loads(capsys.readouterr().out)["total"]["chip_hours"] == 0
        assert launch("logs", tmp_path) == 2
        assert "job told has started no attempt: none of its hosts" in line_of(capsys)


def test_flags_that_exclude_each_other(
    folder: JobFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert launch("status", tmp_path, "--json", "--follow") == 2
    assert "--json and --follow: choose one" in line_of(capsys)
    assert launch("logs", tmp_path, "--attempt", "train.a-1", "--stage", "train.a") == 2
    assert "--attempt and --stage: choose one" in line_of(capsys)


def test_a_page_that_cannot_be_written(
    folder: JobFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "page").mkdir()
    assert launch("status", tmp_path, "--page", str(tmp_path / "page")) == 2
    assert "cannot write" in line_of(capsys)


def test_status_as_text_json_and_page(
    folder: JobFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record_files.write_host(folder, told.record(0, "train.a-2", None))
    assert launch("status", tmp_path) == 0
    assert "told  STOPPED since" in capsys.readouterr().out
    assert launch("status", tmp_path, "--json") == 0
    assert json.loads(capsys.readouterr().out)["is_over"] is True
    page = tmp_path / "status.html"
    assert launch("status", tmp_path, "--page", str(page)) == 0
    assert "Stopped" in page.read_text()


def test_following_ends_with_the_job(
    folder: JobFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "status.html"
    assert launch("status", tmp_path, "--follow", "--page", str(page)) == 0
    assert "STOPPED" in capsys.readouterr().out
    assert "http-equiv" not in page.read_text()  # it is over


def test_logs_of_two_processes(
    folder: JobFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for process in (0, 1):
        path = Path(folder.log("train.a-2", process))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"first\nof {process}\x1b[2J\n")
    assert launch("logs", tmp_path, "--lines", "1") == 0
    assert capsys.readouterr().out == "[host 0] of 0\\x1b[2J\n[host 1] of 1\\x1b[2J\n"
    assert launch("logs", tmp_path, "--host", "1") == 0
    assert capsys.readouterr().out == "first\nof 1\\x1b[2J\n"
    assert launch("logs", tmp_path, "--follow") == 0
    assert capsys.readouterr().out.count("first") == 2


def test_cost(folder: JobFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert launch("cost", tmp_path) == 0
    out = capsys.readouterr().out
    assert "1 crash" in out
    assert "10 steps lost" in out
    assert launch("cost", tmp_path, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [a["attempt"] for a in found["attempts"]] == ["train.a-1", "train.a-2"]
