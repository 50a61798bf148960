"""The hold of a supervisor on its host's number: two supervisors of one host would both be obeyed.

In an object store the hold is a lease that expires while the store cannot be reached. The
supervisor goes on then, and takes the hold again as soon as it can, unless another one has it.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator

from etils import epath

from codepretrain.files.hold_errors import InUseError, LeaseLostError
from codepretrain.files.lease import Lease, exclusive
from codepretrain.launch.job_folder import JobFolder

TTL_S = 30.0


class HostHold:
    """Holds the number of a host; made by `held`."""

    def __init__(self, take: Callable[[], Lease], announce: Callable[[str], None]) -> None:
        self._take, self._announce = take, announce
        self._lease: Lease | None = take()
        self._lock = threading.Lock()
        self._taken: InUseError | None = None
        self._is_closed = False

    def check(self) -> None:
        """Raises InUseError if another supervisor has taken this host over."""
        with self._lock:
            if self._taken is not None:
                raise self._taken
            if self._lease is None:
                return  # it is being taken again
            try:
                self._lease.check()
            except LeaseLostError as error:
                self._announce(f"{error}; takes it again")
                lost, self._lease = self._lease, None
                threading.Thread(target=self._retake, args=(lost,), daemon=True).start()

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            if self._lease is not None:
                self._lease.release()

    def _retake(self, lost: Lease) -> None:
        """Takes the hold again, which takes until the lost one has expired."""
        lost.release()
        pause = threading.Event()
        while not self._is_closed:
            try:
                lease = self._take()
            except InUseError as error:
                self._taken = error
                return
            except Exception:  # the store cannot be reached yet
                pause.wait(1.0)
                continue
            with self._lock:
                self._lease = lease
                if self._is_closed:
                    lease.release()
            return


def hold_folder(folder: JobFolder, host: int) -> epath.Path:
    """Returns the folder that the supervisor of a host holds."""
    return folder.hosts / f"{host}.lease"


@contextlib.contextmanager
def held(
    folder: JobFolder, host: int, *, announce: Callable[[str], None], ttl_s: float = TTL_S
) -> Iterator[HostHold]:
    """Holds the number of a host within the block.

    Raises:
      InUseError: another supervisor of this host is alive.
    """

    def take() -> Lease:
        return _Entered(exclusive(hold_folder(folder, host), ttl_s=ttl_s, announce=announce))

    hold = HostHold(take, announce)
    try:
        yield hold
    finally:
        hold.close()


class _Entered:
    """A lease outside of a `with` block."""

    def __init__(self, manager: contextlib.AbstractContextManager[Lease]) -> None:
        self._manager = manager
        self._lease = manager.__enter__()

    def check(self) -> None:
        self._lease.check()

    def release(self) -> None:
        with contextlib.suppress(LeaseLostError):
            self._manager.__exit__(None, None, None)
