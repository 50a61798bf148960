"""The processes that do the parts of data preparation on this machine."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

from codepretrain.errors import UserError

T = TypeVar("T")

_MAX_PER_CORE = 8  # more than cores, because reading may wait for a network


def check_num_workers(num_workers: int) -> None:
    """Raises UserError for a number of processes that this machine cannot use."""
    maximum = _MAX_PER_CORE * (os.cpu_count() or 1)
    if not 1 <= num_workers <= maximum:
        raise UserError(
            f"--num-workers: expected 1 to {maximum} ({_MAX_PER_CORE} per core of this machine), "
            f"found {num_workers}"
        )


@contextmanager
def worker_processes(num_workers: int) -> Iterator[Executor | None]:
    """Yields an executor, or None for one worker: the caller does the work.

    The processes are spawned, so they import neither TensorFlow nor JAX. If the block raises, what
    they are doing is stopped, so that an interrupted command ends at once.
    """
    if num_workers <= 1:
        yield None
        return
    others = set(multiprocessing.active_children())
    executor = _StoppablePool(
        num_workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_follow_parent,
    )
    try:
        yield executor
    except BaseException:
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        raise  # after the tasks have cleaned up
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _follow_parent() -> None:
    """Ends this process when its parent ends for any reason; leaves Ctrl-C to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _TASKS.stop)
    threading.Thread(target=_exit_after_parent, daemon=True).start()


class _StoppablePool(ProcessPoolExecutor):
    """SIGTERM stops the task of a process, and ends the process when the task has cleaned up."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        return super().submit(_run, fn, *args, **kwargs)


def _run(function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
    return _TASKS.run(function, *args, **kwargs)


class _Tasks:
    """The tasks of this process."""

    def __init__(self) -> None:
        self._is_running = self._is_stopped = False

    def run(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        self._is_running = True
        try:
            return function(*args, **kwargs)
        finally:
            self._is_running = False
            if self._is_stopped:
                os._exit(1)

    def stop(self, number: int, frame: FrameType | None) -> None:
        """Handles a signal. A second one does not interrupt the cleaning up."""
        was_stopped, self._is_stopped = self._is_stopped, True
        if not self._is_running:
            os._exit(1)
        if not was_stopped:
            raise SystemExit


_TASKS = _Tasks()


def _exit_after_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
