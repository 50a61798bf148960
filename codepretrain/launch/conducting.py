"""The thread in which a supervisor tries to become the conductor, and is it once it can be.

In a thread of its own, so that reading the records of many hosts from a slow storage does not delay
what the supervisor does for its own worker.
"""

import threading
import traceback
from collections.abc import Callable

from codepretrain.errors import UserError
from codepretrain.files.hold_errors import InUseError, LeaseLostError
from codepretrain.files.storage import is_local
from codepretrain.launch.conductor import conduct
from codepretrain.launch.job_folder import JobFolder

_PAUSE_S = 3.0  # between two tries where each of them is a request to an object store
_FAILED_S = 10.0  # after a failure: another host may be able to


class Conducting:
    """Conducts a job whenever no other process does, until it is over or `leave` is called.

    Args:
      host: where this process runs.
      note: takes a line for the supervisor's output.
    """

    def __init__(
        self, folder: JobFolder, *, host: int, period_s: float, note: Callable[[str], None]
    ) -> None:
        self._folder, self._host, self._period_s, self._note = folder, host, period_s, note
        self._pause_s = period_s if is_local(folder.path) else max(_PAUSE_S, period_s)
        self._is_leaving = threading.Event()
        self._is_over = False
        self._thread = threading.Thread(target=self._run, name="conductor", daemon=True)
        self._thread.start()

    def leave(self, timeout_s: float) -> None:
        """Ends the term, so that another host takes over at once; waits at most `timeout_s`."""
        self._is_leaving.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._is_over and not self._is_leaving.is_set():
            self._is_leaving.wait(self._try())

    def _try(self) -> float:
        """Conducts if it can; returns how long to wait before the next try."""
        try:
            conduct(
                self._folder,
                wait=self._is_leaving.wait,
                host=self._host,
                period_s=self._period_s,
            )
        except InUseError:
            return self._pause_s
        except LeaseLostError as error:
            self._note(f"conducts no more: {error}")
            return self._pause_s
        except UserError as error:
            self._note(f"cannot conduct: {error}")
            return _FAILED_S
        except Exception:  # a defect, or any error of a store's library
            self._note(f"cannot conduct: {traceback.format_exc()}")
            return _FAILED_S
        self._is_over = True
        return 0.0
