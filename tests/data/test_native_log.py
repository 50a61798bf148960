"""Standard error of native code goes to the file, and comes back."""

import os
from pathlib import Path

import pytest

from codepretrain.data.native_log import stderr_to


def test_only_what_is_written_within(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "native.log"
    os.write(2, b"before\n")
    with stderr_to(log):
        os.write(2, b"within\n")
    os.write(2, b"after\n")
    _fails_within(log)
    assert log.read_text() == "within\nagain\n"
    assert capfd.readouterr().err == "before\nafter\n"


def _fails_within(log: Path) -> None:
    try:
        with stderr_to(log):
            os.write(2, b"again\n")
            raise RuntimeError
    except RuntimeError:
        pass
