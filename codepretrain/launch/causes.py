"""Why a gang ended, from the ends of its workers and from what the conductor found.

When one worker ends, the others end too: told by it (PeerStopped, exit code 3), aborted by JAX, or
by an error of a collective operation. Such an end is a cascade, and never the cause if another end,
a lost host or a hang explains it. In order:

    1. damage, divergence, user_error                         never retried
    2. every worker ended with 0                              done
    3. a stop was asked for                                   stopped
    4. the machine of a host was told to leave                preemption
    5. out of memory
    6. the hang or the lost host for which the gang was ended
    7. a worker killed by a signal; another error
    8. hosts lost, or supervisors started again, meanwhile
    9. SIGTERM from nobody known                              preemption
   10. a worker killed because it did not end with the others  hang
   11. cascades alone: damage or divergence, which every worker may report before the one that has
       it, else                                               crash
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from codepretrain.launch.exits import LOST_CODE, signal_number
from codepretrain.launch.fold import NEVER_RETRIED
from codepretrain.launch.records import End
from codepretrain.launch.states import Closing

_KILL, _ABORT = 9, 6
_STOPS = ("stopped", "preemption")
_FOUND = ("hang", "lost_host")


@dataclass(frozen=True, kw_only=True)
class Cause:
    """Why a gang ended; host: where, None if on no host in particular."""

    cause: str
    host: int | None
    message: str


@dataclass(frozen=True, kw_only=True)
class Gang:
    """What is known when no worker of a gang runs any more.

    ends: by host, of those that reported one. lost: seconds of silence of the lost hosts.
    gone: hosts whose supervisor was started again. preempted: hosts that were told to leave.
    absent: hosts that had not started their worker although there was time.
    """

    hosts: tuple[int, ...]
    ends: Mapping[int, End]
    closing: Closing | None = None
    lost: Mapping[int, float] = field(default_factory=dict)
    gone: tuple[int, ...] = ()
    preempted: tuple[int, ...] = ()
    absent: tuple[int, ...] = ()


def cause_of(gang: Gang) -> Cause:
    """Returns why a gang ended."""
    closing = gang.closing
    if closing is not None and closing.cause in NEVER_RETRIED:
        return Cause(cause=closing.cause, host=closing.host, message=closing.message)
    own = {host: end for host, end in gang.ends.items() if not _is_weak(gang, host, end)}
    for cause in NEVER_RETRIED:
        host = _first(own, cause)
        if host is not None and not (cause == "user_error" and gang.absent):
            return _of(cause, host, own[host].message)
    if set(gang.ends) == set(gang.hosts) and all(e.cause == "done" for e in gang.ends.values()):
        return Cause(cause="done", host=None, message="")
    if closing is not None and closing.reason in ("stop", "budget", "resize"):
        return Cause(cause="stopped", host=None, message=_stop_message(gang, closing))
    if gang.preempted:
        return _of("preemption", min(gang.preempted), "its machine was told to leave")
    if closing is not None and closing.reason == "preemption":
        return Cause(cause="preemption", host=closing.host, message=closing.message)
    return _failure(gang, own)


def _failure(gang: Gang, own: Mapping[int, End]) -> Cause:
    """Returns the cause of a gang that nobody asked to end."""
    closing = gang.closing
    host = _first(own, "out_of_memory")
    if host is not None:
        return _of("out_of_memory", host, own[host].message)
    if closing is not None and closing.cause in _FOUND:
        return Cause(cause=closing.cause, host=closing.host, message=closing.message)
    crashed = [host for host, end in own.items() if end.cause == "crash"]
    if crashed:
        host = min(crashed, key=lambda h: (not signal_number(own[h].code), h))
        return _of("crash", host, own[host].message)
    if gang.absent:
        return _of("lost_host", min(gang.absent), "its worker was not started")
    if gang.lost:
        host = max(gang.lost, key=lambda h: (gang.lost[h], -h))
        return _of("lost_host", host, f"no sign of life for {gang.lost[host]:.0f} s")
    if gang.gone:
        host = min(gang.gone)
        return _of("lost_host", host, "its supervisor was started again, and its worker is gone")
    stopped = [host for host, end in own.items() if end.cause in _STOPS]
    if stopped:
        return _of("preemption", min(stopped), "its worker got SIGTERM from outside the job")
    return _cascades_alone(gang)


def _cascades_alone(gang: Gang) -> Cause:
    """Returns the best of ends that are all consequences: an abort before a lost peer."""
    ends = {host: end for host, end in gang.ends.items() if end.cause != "done"}
    if not ends:
        return Cause(cause="crash", host=None, message="workers ended without a report")
    for cause in ("damage", "divergence"):
        host = _first(ends, cause)
        if host is not None:
            return Cause(cause=cause, host=None, message=ends[host].message)
    lost = [end.message for end in ends.values() if end.code == LOST_CODE]
    deaf = [host for host, end in ends.items() if end.is_cascade and end.cause == "stopped"]
    if lost and deaf:  # the others gave up on one that then had to be killed
        return _of("hang", min(deaf), lost[0])
    host = min(ends, key=lambda h: (ends[h].is_cascade, ends[h].code == LOST_CODE, h))
    cause = ends[host].cause if ends[host].cause in ("crash", "lost_host") else "crash"
    return _of(cause, host, ends[host].message)


def _is_weak(gang: Gang, host: int, end: End) -> bool:
    """Returns whether an end may be the consequence of another one."""
    if end.is_cascade or end.code == LOST_CODE or signal_number(end.code) == _ABORT:
        return True
    closing = gang.closing
    was_killed = closing is not None and closing.how == "kill" and host not in closing.ended
    is_kill = signal_number(end.code) == _KILL and end.cause != "out_of_memory"
    has_finding = closing is not None and (closing.cause in _FOUND or closing.reason != "failure")
    return was_killed and is_kill and has_finding


def _stop_message(gang: Gang, closing: Closing) -> str:
    unsaved = [
        h for h in gang.hosts if h in gang.ends and signal_number(gang.ends[h].code) == _KILL
    ]
    if not unsaved:
        return closing.message
    return f"{closing.message}; host {unsaved[0]} was killed before it had saved"


def _first(ends: Mapping[int, End], cause: str) -> int | None:
    return min((host for host, end in ends.items() if end.cause == cause), default=None)


def _of(cause: str, host: int, message: str) -> Cause:
    return Cause(cause=cause, host=host, message=f"host {host}: {message}")
