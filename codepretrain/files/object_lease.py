"""A lease in an object store without locks; it requires only create-if-absent.

    <folder>/.lease/00000007      {"id": …, "holder": …, "beat": 12, "state": "held", …}

Each hold is a *term*: the holder of the highest-numbered object holds the folder. To take over, a
process creates the next number, which succeeds for one process only, and then lists the terms: if
there is a higher one, its own number was an old one that had been removed, and it backs off. The
highest object is never removed. A holder renews by rewriting its own object; no one else writes it.

Clocks of different hosts are never compared. A taker watches the object: if its contents do not
change for `ttl_s` on the taker's own clock, the holder is gone. The holder counts from the start
of its last successful renewal and gives up permanently after three quarters of `ttl_s`, on a clock
that includes suspended time; a renewal that takes longer does not count. One case remains: a
process that is stopped between `check` and a write may write after it lost the lease. So journals
also write each part with create-if-absent.
"""

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etils import epath

from codepretrain.files.atomic import create, write_bytes
from codepretrain.files.explain import shown
from codepretrain.files.hold_errors import LeaseLostError, in_use
from codepretrain.files.storage import MissingFileError, StrPath, names, read_bytes, remove

_FOLDER = ".lease"
_HELD, _RELEASED = "held", "released"


@dataclass(frozen=True)
class Process:
    """A process, so that others on the same host can tell whether it is still there.

    host_boot, pid_space: the boot and the PID namespace in which `pid` is valid.
    start: clock ticks from boot to the start of the process: PIDs are reused.
    """

    host: str
    pid: int
    host_boot: str
    pid_space: str
    start: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    def is_dead(self) -> bool:
        """Returns whether it is certainly gone: False for a process of another host."""
        here = this_process()
        if not self.host_boot or (self.host_boot, self.pid_space) != (
            here.host_boot,
            here.pid_space,
        ):
            return False
        return _start(self.pid) != self.start


def this_process() -> Process:
    """Returns what identifies this process; empty strings where the system does not provide it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        boot = space = ""
    pid = os.getpid()
    return Process(socket.gethostname(), pid, boot, space, _start(pid) or "")


def _start(pid: int) -> str | None:
    """Returns when a process started; None if there is none, or it has ended and is a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


@dataclass(frozen=True)
class SeenLease:
    """A lease as another process finds it: is_over if it was released, or its holder is dead."""

    content: bytes
    ttl_s: float
    is_over: bool


def read_lease(folder: StrPath) -> SeenLease | None:
    """Returns the newest lease of a folder, None if nobody has ever held it."""
    while True:
        terms = _terms(epath.Path(folder))
        if not terms:
            return None
        try:
            content = read_bytes(_object(epath.Path(folder), terms[-1]))
        except MissingFileError:
            time.sleep(0.05)  # there is a later term, or the folder is being removed
            continue
        value = _parsed(content)
        holder = _holder(value)
        is_over = value.get("state") == _RELEASED or (holder is not None and holder.is_dead())
        return SeenLease(content, float(value.get("ttl_s", 0)), is_over)


def is_certainly_free(folder: StrPath) -> bool:
    """Returns whether nobody can hold a folder: released, or by a process of this host that ended.

    It only reads: False may also mean that the holder is on another host and gone.
    """
    found = read_lease(folder)
    return found is None or found.is_over


class ObjectLease:
    """A folder of an object store, held by this process from construction until `release`.

    Attributes:
      watched_s: for how long the process that held it before was seen not to renew it; 0 if it
        released it, if it is known to have ended, or if nobody held it.
    """

    def __init__(
        self,
        folder: StrPath,
        *,
        ttl_s: float,
        waits: bool = False,
        announce: Callable[[str], None] | None = None,
    ) -> None:
        """Raises UserError if another process holds the folder and renews its lease."""
        self._folder = epath.Path(folder)
        self._ttl_s = ttl_s
        self._id = secrets.token_hex(16)
        self._process = this_process()
        self._beat = 0
        self._problem = ""
        self.watched_s = 0.0
        self._renewed_s = now_s()
        self._term = self._acquire(waits, announce)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew_often, name="lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        self._give_up_late()
        if self._problem:
            raise LeaseLostError(
                f"this process lost its hold of {shown(self._folder)}: {self._problem}; rerun the "
                "same command"
            )

    def release(self) -> None:
        self._stop.set()
        self._thread.join()
        if not self._problem:
            # Where this fails the lease expires.
            with suppress(Exception):
                write_bytes(_object(self._folder, self._term), self._content(_RELEASED))

    def _acquire(self, waits: bool, announce: Callable[[str], None] | None) -> int:
        while True:
            terms = _terms(self._folder)
            if terms:
                self.watched_s = _wait_until_free(
                    _object(self._folder, terms[-1]), self._folder, self._ttl_s, waits, announce
                )
            term = max(terms, default=0) + 1
            self._renewed_s = now_s()
            if not create(_object(self._folder, term), self._content(_HELD)):
                continue  # another process was first: see whether it lives
            terms = _terms(self._folder)
            if terms[-1] != term:
                remove(_object(self._folder, term))
                continue
            if read_bytes(_object(self._folder, term)) != self._content(_HELD):
                continue  # by a store that ignores the condition of `create`
            for old in terms[:-1]:
                remove(_object(self._folder, old))
            return term

    def _renew_often(self) -> None:
        while not self._problem and not self._stop.wait(self._ttl_s / 5):
            self._renew()

    def _renew(self) -> None:
        """Writes the next beat. A failure is retried at the next beat, until it is too late."""
        started_s = now_s()
        self._beat += 1
        try:
            write_bytes(_object(self._folder, self._term), self._content(_HELD))
            terms = _terms(self._folder)
        except Exception:  # any error of the library: the clock decides
            return
        self._give_up_late()
        if terms[-1:] != [self._term]:
            self._problem = self._problem or "another process took it over"
        if not self._problem:
            self._renewed_s = started_s

    def _give_up_late(self) -> None:
        """From here on another process may have seen the lease expire."""
        age_s = now_s() - self._renewed_s
        if not self._problem and age_s > 0.75 * self._ttl_s:
            self._problem = f"it could not be renewed for {age_s:.0f} s"

    def _content(self, state: str) -> bytes:
        value = {
            "id": self._id,
            "state": state,
            "beat": self._beat,
            "ttl_s": self._ttl_s,
            **vars(self._process),
        }
        return json.dumps(value).encode()


def _wait_until_free(
    term: epath.Path,
    folder: epath.Path,
    ttl_s: float,
    waits: bool,
    announce: Callable[[str], None] | None,
) -> float:
    """Waits until the holder of a term releases it, dies, or lets it expire.

    Returns for how many seconds it was seen not to renew a lease that expired, else 0.

    Raises:
      UserError: the holder renewed it, and we do not wait.
    """
    seen, since_s = None, time.monotonic()
    while True:
        try:
            content = read_bytes(term)
        except MissingFileError:
            return 0.0  # there is a later term: the caller lists again and finds it
        value = _parsed(content)
        holder = _holder(value)
        ttl_s = max(ttl_s, float(value.get("ttl_s", 0)))
        if value.get("state") == _RELEASED or (holder is not None and holder.is_dead()):
            return 0.0
        if seen is None and announce is not None:
            announce(f"{folder} is held by {holder}: waiting to see whether it is alive")
        if content != seen:
            if seen is not None and not waits:
                raise in_use(folder, str(holder or "another process"))
            seen, since_s = content, time.monotonic()
        if time.monotonic() - since_s > ttl_s:
            return time.monotonic() - since_s
        time.sleep(ttl_s / 20)


def _terms(folder: epath.Path) -> list[int]:
    return sorted(int(n) for n in names(folder / _FOLDER) if n.isdigit())


def _object(folder: epath.Path, term: int) -> epath.Path:
    return folder / _FOLDER / f"{term:08d}"


def _parsed(content: bytes) -> dict[str, Any]:
    """Returns a lease's contents; nothing if it is damaged; such a lease expires like others."""
    try:
        value = json.loads(content)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _holder(value: dict[str, Any]) -> Process | None:
    try:
        return Process(**{name: value[name] for name in Process.__dataclass_fields__})
    except KeyError:
        return None


def now_s() -> float:
    """Returns seconds on a clock that includes suspended time."""
    return (
        time.clock_gettime(time.CLOCK_BOOTTIME)
        if hasattr(time, "CLOCK_BOOTTIME")
        else (time.monotonic())
    )
