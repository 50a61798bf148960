"""Why a command ends: every cause that a worker can know of."""

import errno
import signal

import jax
import pytest

from codepretrain import hosts
from codepretrain.cli.cause import Cause, cause_of
from codepretrain.errors import (
    DamageError,
    DivergenceError,
    Interrupted,
    PassingError,
    PeerError,
    PeerStopped,
    UserError,
    user_error,
)
from codepretrain.files.hold_errors import LeaseLostError, in_use
from codepretrain.launch.records import CAUSES


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (None, "done"),
        (UserError("x"), "user_error"),
        (DivergenceError("x"), "divergence"),
        (DamageError("x"), "damage"),
        (PassingError("x"), "crash"),
        (LeaseLostError("x"), "crash"),
        (in_use("folder", "process 1"), "crash"),
        (Interrupted(signal.SIGTERM, "saved"), "preemption"),
        (KeyboardInterrupt(), "preemption"),
        (MemoryError(), "out_of_memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "out_of_memory"),
        (jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory"), "out_of_memory"),
        (OSError(errno.ENOSPC, "No space left on device"), "user_error"),
        (OSError(errno.EIO, "Input/output error"), "crash"),
        (ZeroDivisionError(), "crash"),
        (SystemExit(0), "done"),
        (SystemExit(2), "user_error"),
        (SystemExit("no"), "crash"),
        (SystemExit(143), "preemption"),
    ],
)
def test_a_cause(error: BaseException | None, cause: str) -> None:
    assert cause_of(error) == Cause(cause)
    assert cause in CAUSES


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (PeerStopped(2, "process 1: full"), "user_error"),
        (PeerStopped(3, "process 1 is silent"), "lost_host"),
        (PeerStopped(143, "stopped"), "preemption"),
        (PeerStopped(1, "process 1: ZeroDivisionError"), "crash"),
        (PeerError("process 1: ZeroDivisionError"), "crash"),
        (user_error("x", cause="divergence"), "divergence"),
    ],
)
def test_a_cascade(error: BaseException, cause: str) -> None:
    assert cause_of(error) == Cause(cause, is_cascade=True)
    assert cause in CAUSES


@pytest.mark.parametrize("kind", [UserError, DivergenceError, DamageError, PassingError])
def test_a_cause_is_the_same_in_the_process_that_is_told_of_the_error(
    kind: type[UserError],
) -> None:
    def fail() -> None:
        raise kind("what is wrong")

    report, _ = hosts._report("a value", fail)
    told = hosts._exception(report)
    assert (str(told), type(told)) == ("what is wrong", kind)
    assert cause_of(told) == Cause(kind.cause, is_cascade=True)
