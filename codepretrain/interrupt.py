"""Handling of the stop signals SIGINT (Ctrl-C) and SIGTERM.

    where                  the first signal                               a second Ctrl-C
    within `deferred()`    is remembered: the loop asks `is_due`,         ends the process
                           saves its state, and raises Interrupted
    anywhere else          raises Interrupted in the main thread          ends the process

Only the training loop defers, because it has unsaved state.

Python runs a signal handler only between two bytecodes of the main thread. A compilation or a
collective operation keeps that thread in C++ for minutes. The command line therefore starts a
thread as well (`handling(end=…)`, `signal_watch.py`). It notices a signal at once, passes it on to
the other processes of the run, and ends the process if the main thread is not done after `GRACE_S`.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import FrameType

from codepretrain.errors import PeerStopped
from codepretrain.signal_watch import STOP_SIGNALS, Peers, State, Watch

# Where nothing is raised: Python drops an exception in a finalizer or in a callback of the garbage
# collector, and one within the import of an extension module may crash the process.
_DEAF_FUNCTIONS = {"__del__", "_xla_gc_callback"}
_IMPORT = "<frozen importlib._bootstrap>"
_RETRY_S = 0.02


_state = State()


@contextmanager
def handling(end: Callable[[BaseException], None] | None = None) -> Iterator[None]:
    """Handles stop signals within the block; a nested block, or another thread's, does nothing.

    Args:
      end: ends the process for the exception given, from any thread.
    """
    global _state
    if _state.is_handling or threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    _state = State()
    _state.is_handling, _state.end = True, end
    install()
    try:
        with Watch(_state) if end else nullcontext():
            yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        _state = State()


def install() -> None:
    """Installs the handlers, again after a library has replaced them.

    `jax.distributed` and libtpu install SIGTERM handlers of their own.
    """
    if _state.is_handling:
        for number in STOP_SIGNALS:
            signal.signal(number, _on_signal)


@contextmanager
def deferred() -> Iterator[None]:
    """Defers stop signals within the block; `is_due` reports them.

    Raises:
      Interrupted: at the end of the block, if a signal came and the block did not raise.
    """
    with handling():
        _state.depth += 1
        try:
            yield
        finally:
            _state.depth -= 1
        if _state.signal_number:
            raise _state.interrupted()


def is_due() -> bool:
    """Returns whether to stop now; on several processes, True at the same call in all of them.

    So all processes must call this equally often within `deferred`, `check` included.
    """
    if _state.peers is not None:
        return _state.peers.reached_stop()
    return bool(_state.signal_number)


def check() -> None:
    """Raises Interrupted within `deferred` if `is_due`; for long work between two steps."""
    if _state.depth and is_due():
        raise _state.interrupted()


def check_alone() -> None:
    """Like `check`, but on a single process only: for work that only one process does."""
    if _state.peers is None:
        check()


def error() -> BaseException | None:
    """Returns the exception with which the command is to end, None if there is none.

    It was raised, but other code may have replaced it: a signal within the import of an extension
    module becomes an ImportError.
    """
    return _state.error


def signal_number() -> int:
    """Returns the number of the stop signal, 0 if there was none."""
    return _state.signal_number


def leave() -> None:
    """Makes the handlers raise nothing from here on: the command has its result."""
    _state.is_leaving = True


def connect(peers: Peers | None) -> None:
    """Shares stop signals with all processes of the run."""
    _state.peers = peers


def on_peer_signal(number: int) -> bool:
    """Handles a signal to any process of the run; returns whether this process defers it."""
    _state.signal_number = _state.signal_number or number
    if _state.depth:
        return True
    if _state.error is None:
        _raise_in_main_thread(_state.interrupted())
    return False


def on_peer_exit(exit_code: int, message: str) -> None:
    """Ends this process because another one has ended."""
    if _state.error is None:
        _raise_in_main_thread(PeerStopped(exit_code, message))


def _raise_in_main_thread(error: BaseException) -> None:
    _state.error, _state.is_pending = error, True
    if _state.watch is not None:
        _state.watch.wake()
    _signal_main_thread()


def _signal_main_thread() -> None:
    """Sends a real signal, which also ends a sleep or a wait."""
    if _state.is_pending:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)


def _raise_pending(frame: FrameType | None) -> None:
    assert _state.error is not None
    if _is_deaf(frame):
        later = threading.Timer(_RETRY_S, _signal_main_thread)
        later.daemon = True
        later.start()
        return
    _state.is_pending = False
    raise _state.error


def _is_deaf(frame: FrameType | None) -> bool:
    """Returns whether the main thread is in code where nothing may be raised."""
    while frame is not None:
        if frame.f_code.co_name in _DEAF_FUNCTIONS or frame.f_code.co_filename == _IMPORT:
            return True
        frame = frame.f_back
    return False


def _on_signal(number: int, frame: FrameType | None) -> None:
    if _state.is_leaving:
        return
    if _state.is_pending:
        _raise_pending(frame)
        return
    if _state.signal_number or _state.error is not None:
        if number == signal.SIGINT and _state.end is None:
            raise KeyboardInterrupt
        return  # the watching thread ends the process at a second Ctrl-C
    _state.signal_number = number
    if not _state.depth:
        _state.error, _state.is_pending = _state.interrupted(), True
        _raise_pending(frame)
