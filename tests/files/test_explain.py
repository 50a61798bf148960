"""Refusals become one line that names the path; other errors pass."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from codepretrain.errors import UserError
from codepretrain.files.explain import error_number, explained, shown
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left.*free some space"),
        (RuntimeError("record 5: No space left on device"), "No space left.*free some space"),
        (PermissionError(errno.EACCES, "Permission denied"), "Permission denied; check its perm"),
        (OSError("Forbidden: b/x\nno access"), "Forbidden: b/x no access; check the address"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error; check the disk"),
        (RuntimeError("write() failed: Input/output error; writing x"), "Input/output error; ch"),
        (RuntimeError("write() failed: File too large; writing x"), "File too large; raise"),
        (FileNotFoundError("bucket/x"), "there is no such bucket"),
    ],
)
def test_refusals(error: Exception, message: str) -> None:
    with (
        pytest.raises(UserError, match=f"^cannot write /a/b: {message}"),
        explained("write", "/a/b"),
    ):
        raise error


@pytest.mark.parametrize("error", [KeyError("x"), RuntimeError("bug"), ZeroDivisionError()])
def test_other_errors_pass(error: Exception) -> None:
    with pytest.raises(type(error)), explained("write", "/a/b"):
        raise error


def test_a_user_error_passes_as_it_is() -> None:
    with pytest.raises(UserError, match=r"^mine$"), explained("write", "/a/b"):
        raise UserError("mine")


def test_error_numbers_and_long_paths() -> None:
    assert error_number(RuntimeError("x: Disk quota exceeded")) == errno.EDQUOT
    assert error_number(ValueError("No space left on device")) is None
    assert len(shown("x" * 5000)) < 310


def test_numpy_gives_no_error_number_on_a_full_disk(tmp_path: Path) -> None:
    """A limit of the file's size cuts the write as a full disk does."""
    code = (
        "import resource, signal, sys; import numpy as np; "
        "from codepretrain.errors import UserError; "
        "from codepretrain.files.explain import explained; "
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try:\n"
        "    with explained('write', 'x.npy'): np.save(sys.argv[1], np.zeros(10**6))\n"
        "except UserError as error: print(error)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "x.npy")]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    assert result.stdout == (
        "cannot write x.npy: No space left on device; free some space and rerun the same command: "
        "finished parts are kept\n"
    )


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (OSError(errno.ENOSPC, "full"), "user_error"),
        (PermissionError("403: Forbidden"), "user_error"),
        (FileNotFoundError("gs://bucket/x"), "user_error"),
        (OSError(errno.EIO, "I/O error"), "crash"),
        (OSError(errno.ETIMEDOUT, "timed out"), "crash"),
        (OSError(errno.ESTALE, "stale handle"), "crash"),
        (TimeoutError("no answer"), "crash"),
    ],
)
def test_what_another_try_may_not_meet_is_no_mistake(error: Exception, cause: str) -> None:
    with pytest.raises(UserError) as raised, explained("read", "x"):
        raise error
    assert raised.value.cause == cause
