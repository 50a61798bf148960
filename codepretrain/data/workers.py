"""The processes that read raw material."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager

from codepretrain.errors import UserError

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
def reading_processes(num_workers: int) -> Iterator[Executor | None]:
    """Yields an executor, or None for one worker: the caller reads.

    The processes are spawned, so they import neither TensorFlow nor JAX.
    """
    if num_workers <= 1:
        yield None
        return
    executor = ProcessPoolExecutor(
        num_workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_follow_parent,
    )
    try:
        yield executor
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _follow_parent() -> None:
    """Ends this process when its parent ends for any reason; leaves Ctrl-C to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_after_parent, daemon=True).start()


def _exit_after_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
