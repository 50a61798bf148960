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
    ("message", "is_memory"),
    [
        ("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8 bytes.", True),
        ("RESOURCE_EXHAUSTED: Out of memory allocating 4294967296 bytes.", True),
        (
            "RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory in memory "
            "space hbm. Used 22.11G of 15.75G hbm.",
            True,
        ),
        (
            "RESOURCE_EXHAUSTED: Error allocating device buffer: Attempting to allocate 4.00G. "
            "That was not possible. There are 3.01G free.; (0x0x0_HBM0)",
            True,
        ),
        (
            "RESOURCE_EXHAUSTED: Error loading program: Attempting to reserve 6.53G at the bottom "
            "of memory. That was not possible. There are 4.03G free, 0B reserved.",
            True,
        ),
        ("RESOURCE_EXHAUSTED: Failed to allocate request for 1.00GiB on device ordinal 0", True),
        ("RESOURCE_EXHAUSTED: Quota exceeded for quota metric 'Read requests'", False),
        ("RESOURCE_EXHAUSTED: Received message larger than max (5242880 vs. 4194304)", False),
        ("429 RESOURCE_EXHAUSTED: rateLimitExceeded: too many requests", False),
        ("RESOURCE_EXHAUSTED: quota: cannot allocate more requests", False),
    ],
)
def test_memory_is_told_apart_from_quotas(message: str, is_memory: bool) -> None:
    """Storage and gRPC use JAX's word for limits that have nothing to do with memory."""
    for error in (jax.errors.JaxRuntimeError(message), RuntimeError(message)):
        assert cause_of(error).name == ("out_of_memory" if is_memory else "crash")


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
