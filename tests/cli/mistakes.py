"""Wrong command lines: each ends with exit code 2 and one line, before anything is created.

`{c}` stands for `--config` and `--workdir` of the tiny study and of a folder that does not exist,
the other placeholders for what the fixture `hostile` makes.
"""

import shlex
from pathlib import Path

import pytest

from codepretrain.cli.main import main

LONG = "x" * 5000


def check(
    capsys: pytest.CaptureFixture[str], hostile: dict[str, str], line: str, message: str
) -> None:
    """Runs a command line, and checks that `message` is in the one line that it prints."""
    for name, value in hostile.items():
        line = line.replace(f"{{{name}}}", value)
    root = Path(hostile["folder"]).parent
    before = sorted(root.rglob("*"))
    assert main(shlex.split(line)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("codepretrain: ")
    assert captured.err.count("\n") == 1
    assert captured.err.endswith("\n")
    assert message in captured.err
    assert len(captured.err) < 1500
    assert sorted(p for p in root.rglob("*") if "__pycache__" not in str(p)) == before
