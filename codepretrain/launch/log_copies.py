"""Copies of local files in the folder of a job: output and stacks, where workers write elsewhere.

An object store cannot be appended to, so a file is copied again when it has grown; of a long one
the beginning and the end.
"""

import threading
from collections.abc import Callable
from pathlib import Path

from etils import epath

from codepretrain.errors import UserError
from codepretrain.files.atomic import write_bytes
from codepretrain.files.log_file import log_size, read_log

PERIOD_S = 30.0
MAX_BYTES = 8 * 2**20


class LogCopies:
    """Copies files from time to time, in a thread.

    Args:
      note: takes a line when copying begins to fail, and when it succeeds again.
    """

    def __init__(self, *, note: Callable[[str], None], period_s: float = PERIOD_S) -> None:
        self._note, self._period_s = note, period_s
        self._copied: dict[Path, tuple[epath.Path, int]] = {}  # local file → where, size copied
        self._lock = threading.Lock()
        self._is_due = threading.Event()
        self._is_over = False
        self._is_failing = False
        self._thread: threading.Thread | None = None

    def add(self, local: Path, remote: epath.Path) -> None:
        """Copies a file from here on."""
        with self._lock:
            self._copied[local] = (remote, 0)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="logs", daemon=True)
            self._thread.start()

    def finish(self) -> None:
        """Has everything copied now: a worker has ended."""
        self._is_due.set()

    def close(self, timeout_s: float) -> None:
        """Copies everything a last time, and waits for that at most `timeout_s`."""
        self._is_over = True
        self._is_due.set()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        is_last = False
        while not is_last:
            self._is_due.wait(self._period_s)
            self._is_due.clear()
            is_last = self._is_over  # a file may have grown while the round before copied it
            with self._lock:
                files = list(self._copied.items())
            for local, (remote, copied) in files:
                size = log_size(local)
                if size > copied and self._copy(local, remote):
                    with self._lock:
                        self._copied[local] = (remote, size)

    def _copy(self, local: Path, remote: epath.Path) -> bool:
        try:
            write_bytes(remote, read_log(local, max_bytes=MAX_BYTES))
        except Exception as error:  # any error of a store's library; tried again
            if not self._is_failing:
                words = str(error) if isinstance(error, UserError) else repr(error)
                self._note(f"{words}; tries again")
            self._is_failing = True
            return False
        if self._is_failing:
            self._note("logs are copied again")
        self._is_failing = False
        return True
