"""A folder that ties processes to the one that starts them.

    <folder>/
        pipe            open for writing in the process that starts the others: closed when it ends
        followers.lock  shared by the others while they run

The others end when the process that started them leaves the block of `lifeline`, or ends for any
reason. The names of other files in the folder are free.
"""

import fcntl
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from codepretrain.files.scratch import scratch_folder

_PIPE, _LOCK = "pipe", "followers.lock"
_PERIOD_S = 0.01
_LONGEST_S = 2.0


@contextmanager
def lifeline(name: str) -> Iterator[Path]:
    """Yields a new folder. At the end its followers end, whatever they are doing, within 2 s."""
    with scratch_folder(Path(tempfile.gettempdir()), name) as folder:
        os.mkfifo(folder / _PIPE)
        pipe = os.open(folder / _PIPE, os.O_RDWR)
        try:
            yield folder
        finally:
            os.close(pipe)
            _wait_for_followers(folder)


@contextmanager
def following(folder: Path) -> Iterator[None]:
    """Ends this process, with code 0, when the lifeline of the folder ends."""
    threading.Thread(target=_follow, args=(folder,), daemon=True).start()
    try:
        lock = (folder / _LOCK).open("a")
    except FileNotFoundError:  # it has ended already
        os._exit(0)
    with lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield


def _follow(folder: Path) -> None:
    try:
        pipe = os.open(folder / _PIPE, os.O_RDONLY | os.O_NONBLOCK)
        os.set_blocking(pipe, True)
        os.read(pipe, 1)  # nothing is ever written: returns when it is closed
    finally:
        os._exit(0)


def _wait_for_followers(folder: Path) -> None:
    deadline = time.monotonic() + _LONGEST_S
    with (folder / _LOCK).open("a") as lock:
        while time.monotonic() < deadline:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(_PERIOD_S)
            else:
                return
