"""Standard streams of every kind: narrow encodings, readers that leave, closed descriptors."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from codepretrain.cli import output
from codepretrain.errors import UserError
from tests.conftest import ROOT

PLAN = f"{sys.executable} -m codepretrain plan --config experiments/initialization.py"
ASCII = {"PYTHONIOENCODING": "ascii"}
C_LOCALE = {"LC_ALL": "C", "LANG": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


def shell(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a bash script whose exit code is that of the first program of its last pipe."""
    return subprocess.run(
        ["bash", "-c", f"{script}; exit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment},
        timeout=120,
    )


@pytest.mark.parametrize("environment", [ASCII, C_LOCALE])
def test_a_plan_is_printed_in_a_narrow_encoding(environment: dict[str, str]) -> None:
    result = shell(PLAN, **environment)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert result.stdout.isascii()
    assert "text_pretrain" in result.stdout


def test_the_readers_end_ends_the_command_quietly() -> None:
    for flags in ("", "--json"):
        result = shell(f"{PLAN} {flags} | head -1")
        assert (result.returncode, result.stderr) in [(0, ""), (141, "")]
        assert result.stdout.count("\n") == 1
    result = shell(f"{PLAN} | true")
    assert (result.returncode, result.stderr) == (141, "")


def test_closed_streams() -> None:
    assert shell(f"{PLAN} >&-").returncode == 0
    result = shell(f"{PLAN} 2>&-")
    assert result.returncode == 0
    assert "text_pretrain" in result.stdout
    mistake = shell(f"{PLAN} --confg 2>&-")
    assert (mistake.returncode, mistake.stdout) == (2, "")
    assert shell(f"{PLAN} <&- >&- 2>&-").returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a device that is full")
def test_a_full_disk_behind_stdout() -> None:
    result = shell(f"{PLAN} >/dev/full")
    assert result.returncode == 2
    assert result.stderr == (
        "codepretrain: cannot write to standard output: No space left on device\n"
    )


@pytest.mark.parametrize(("encoding", "shown"), [("ascii", "\\u2192"), ("utf-8", "→")])
def test_json_reads_back_in_any_encoding(
    monkeypatch: pytest.MonkeyPatch, encoding: str, shown: str
) -> None:
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    output.print_json({"a": "→"})
    stream.flush()
    text = written.getvalue().decode(encoding)
    assert shown in text
    assert json.loads(text) == {"a": "→"}


def test_another_broken_pipe_is_a_defect() -> None:
    assert not output.reader_is_gone(BrokenPipeError())
    assert not output.reader_is_gone(SystemExit(1))


class Refusing(io.StringIO):
    def flush(self) -> None:
        raise OSError(28, "No space left on device")


def test_finish_reports_what_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Refusing())
    with pytest.raises(UserError, match="standard output: No space left on device"):
        output.finish(0)
    assert output.finish(2) == 2  # the first mistake is the one to report
