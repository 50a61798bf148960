"""The records that supervisors and the conductor exchange through the folder of a job.

    supervisor ── HostRecord ──→ conductor       hosts/<host>.json, rewritten at every period
    conductor ─── Orders ──────→ supervisors     orders.json, rewritten when it changes
    conductor ─── Attempt ─────→ everyone        attempts/<id>.json, created once

Clocks of different hosts are never compared: a record is stale if its `beat` has not changed for
so many seconds of the reader's own clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Why an attempt ended, and whether it is tried again.
CAUSES = (
    "done",
    "stopped",  # by `launch stop`, or at a cap of the budget
    "user_error",  # never retried
    "divergence",  # never retried
    "damage",  # data or checkpoints: never retried
    "preemption",  # retried, free
    "crash",  # retried, a failure
    "out_of_memory",  # retried, a failure
    "hang",  # retried, a failure
    "lost_host",  # retried, a failure
)


@dataclass(frozen=True, kw_only=True)
class End:
    """How a worker ended.

    code: its exit code; minus the number of the signal that killed it. cause: one of `CAUSES`, as
    far as this host knows. is_cascade: it ended because another worker of the gang did. message:
    its last line. step: the last step that it reported.
    """

    code: int
    cause: str
    is_cascade: bool = False
    message: str = ""
    step: int | None = None


@dataclass(frozen=True, kw_only=True)
class WorkerReport:
    """What a worker last reported through its progress pipe.

    activity: "init", "restore", "compile", "train", "evaluate", "save", or another kind of
    `metrics/stopwatch.py`. idle_s: seconds since the activity, the step or the counter changed.
    step_s: the median of the last steps, without the first one, which compiles. saved_step: the
    newest checkpoint that is committed. facts: loss, tokens, tokens_per_s, mfu, goodput, phase, as
    they are known.
    """

    activity: str
    step: int | None = None
    counter: int = 0
    idle_s: float = 0.0
    resumed_step: int | None = None
    saved_step: int | None = None
    save_s: float | None = None
    step_s: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class HostRecord:
    """One host, as its supervisor sees it.

    host: index over all slices, slice · hosts per slice + host. boot: changes when the supervisor
    is started again. beat: counts the periods. address: host:port that is free here for a
    coordinator. attempt: the id of the attempt that it last obeyed. is_preempted: the machine was
    told to leave.
    """

    host: int
    boot: str
    beat: int
    address: str
    attempt: str | None = None
    is_running: bool = False
    is_preempted: bool = False
    report: WorkerReport | None = None
    end: End | None = None


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One gang of workers for one stage.

    id: "<stage>-<number>". hosts: in order of their process ids. coordinator: host:port, None for
    one process. expected_step: the step from which it is to resume, None if not known. arguments:
    of `codepretrain`, without the flags of the gang.
    """

    id: str
    stage: str
    number: int
    hosts: tuple[int, ...]
    coordinator: str | None
    expected_step: int | None
    arguments: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Orders:
    """What hosts are to do now.

    term: of the conductor; orders of an older term are ignored. running: attempts whose workers are
    to run. ending: ids of attempts whose workers are to save and end (SIGTERM). killing: ids of
    attempts whose workers are to be killed (SIGKILL, after writing their stacks if they hang).
    is_over: supervisors may end.
    """

    term: int
    running: tuple[Attempt, ...] = ()
    ending: tuple[str, ...] = ()
    killing: tuple[str, ...] = ()
    is_over: bool = False
