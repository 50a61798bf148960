"""Standard error of native code is withheld, and comes back."""

import os

import pytest

from codepretrain.data.native_log import captured_stderr


def test_only_what_is_written_within_is_withheld(capfd: pytest.CaptureFixture[str]) -> None:
    os.write(2, b"before\n")
    with captured_stderr():
        os.write(2, b"within\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "before\nafter\n"


def test_where_the_block_fails_it_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ImportError):
        _fails_within()
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "the reason\nafter\n"


def _fails_within() -> None:
    with captured_stderr():
        os.write(2, b"the reason\n")
        raise ImportError
