"""A command that a supervisor (`launch/`) started, as the environment says.

    CODEPRETRAIN_SUPERVISOR     the supervisor's pid: this process is killed when it ends
    CODEPRETRAIN_PROGRESS_FD    a pipe to which this process reports (`progress_pipe.py`)
    CODEPRETRAIN_STACKS         a file to which SIGUSR1 appends the Python stacks of all threads
    CODEPRETRAIN_EXPECTED_STEP  training from an earlier step is refused

The variables are removed once they are read: the children of this process are no workers.
"""

import faulthandler
import os
import signal

from codepretrain.cli.parent import end_with_parent
from codepretrain.errors import UserError, quoted
from codepretrain.progress_pipe import PROGRESS

SUPERVISOR = "CODEPRETRAIN_SUPERVISOR"
PROGRESS_FD = "CODEPRETRAIN_PROGRESS_FD"
STACKS = "CODEPRETRAIN_STACKS"
EXPECTED_STEP = "CODEPRETRAIN_EXPECTED_STEP"

_expected_step = 0


def begin() -> None:
    """Reads the variables; call it before the slow imports, so that they are covered.

    Raises:
      UserError: a variable has no meaning here.
    """
    global _expected_step
    end_with_parent(SUPERVISOR, signal.SIGKILL)
    os.environ.pop(SUPERVISOR, None)
    if path := os.environ.pop(STACKS, ""):
        _write_stacks_to(path)
    descriptor = _number(PROGRESS_FD)
    if descriptor is not None:
        try:
            PROGRESS.connect(descriptor)
        except OSError as error:
            raise UserError(f"{PROGRESS_FD}={descriptor}: {error.strerror}") from error
    _expected_step = _number(EXPECTED_STEP) or 0


def expected_step() -> int:
    """Returns the step from which the phase is expected to resume, 0 if any will do."""
    return _expected_step


def _number(variable: str) -> int | None:
    text = os.environ.pop(variable, None)
    if text is None:
        return None
    if not text.isdecimal():
        raise UserError(f"{variable}: expected a number, found {quoted(text)}")
    return int(text)


def _write_stacks_to(path: str) -> None:
    """Registers a handler in C, which runs while the main thread is in XLA or in a collective."""
    try:
        file = open(path, "a")  # noqa: SIM115, it stays open
    except OSError as error:
        raise UserError(f"{STACKS}={path}: {error.strerror}") from error
    faulthandler.register(signal.SIGUSR1, file=file, all_threads=True, chain=False)
