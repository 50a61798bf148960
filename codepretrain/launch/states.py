"""The state of a job and of its stages: what `fold.py` makes of the events.

    PLANNED → QUEUED → PROVISIONING → STARTING → RUNNING → DONE | STOPPED | FAILED | OVER_BUDGET
                                         ↑ └──────┬──┘
                                         └─ RESTARTING            STOPPED, … → QUEUED by a resume

A job is RUNNING from the moment a gang runs until no gang runs and one is to be started again, so
also between two stages.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from codepretrain.launch.records import Attempt

_ENDS = ("STOPPED", "FAILED", "OVER_BUDGET")
# A job may end in any state, before it has started too.
JOB_TRANSITIONS: Mapping[str, tuple[str, ...]] = {
    "PLANNED": ("QUEUED", *_ENDS),
    "QUEUED": ("PROVISIONING", *_ENDS),
    "PROVISIONING": ("STARTING", "QUEUED", "DONE", *_ENDS),
    "STARTING": ("RUNNING", "RESTARTING", "DONE", *_ENDS),
    "RUNNING": ("RESTARTING", "DONE", *_ENDS),
    "RESTARTING": ("STARTING", "DONE", *_ENDS),
    "STOPPED": ("QUEUED",),
    "FAILED": ("QUEUED",),
    "OVER_BUDGET": ("QUEUED",),
    "DONE": (),
}
OVER = frozenset((*_ENDS, "DONE"))
BEFORE_START = ("PLANNED", "QUEUED", "PROVISIONING")
STARTABLE = ("WAITING", "RESTARTING")  # of a stage

STAGE_TRANSITIONS: Mapping[str, tuple[str, ...]] = {
    "WAITING": ("STARTING",),
    "STARTING": ("RUNNING", "ENDING", "DONE", "RESTARTING", "STOPPED", "FAILED"),
    "RUNNING": ("ENDING", "DONE", "RESTARTING", "STOPPED", "FAILED"),
    "ENDING": ("DONE", "RESTARTING", "STOPPED", "FAILED"),
    "RESTARTING": ("STARTING", "FAILED"),
    "STOPPED": ("RESTARTING",),
    "FAILED": ("RESTARTING",),
    "DONE": (),
}


@dataclass(frozen=True, kw_only=True)
class Closing:
    """A gang that is to end.

    how: "wait" (for the reports of the others, after a first end), "end" (save and end) or "kill".
    reason: "failure", "preemption", "stop", "budget" or "resize". cause, host, message: what the
    conductor has found, if it is not to be taken from the ends of the workers. ended: hosts whose
    workers had ended before anything was ordered.
    """

    how: str
    reason: str
    cause: str | None
    host: int | None
    message: str
    since_s: float
    ended: frozenset[int] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Live:
    """An attempt that has started and whose end is not recorded yet.

    boots, before: the supervisors of its hosts and the attempts that they had run last, when it
    started. seconds: measured up to `measured_s`. lost: hosts that were named as lost. step: the
    newest one that an event names. has_evaluated: it has recorded an evaluation.
    """

    attempt: Attempt
    boots: Mapping[int, str]
    before: Mapping[int, str | None]
    num_slices: int
    started_s: float
    measured_s: float
    seconds: float = 0.0
    is_running: bool = False
    resumed_step: int | None = None
    step: int | None = None
    has_stepped: bool = False
    first_step_s: float | None = None
    has_evaluated: bool = False
    closing: Closing | None = None
    lost: frozenset[int] = frozenset()
    has_save_warning: bool = False


@dataclass(frozen=True, kw_only=True)
class StageState:
    """What is known of a stage.

    attempts: number of the last one. last_step: that its last attempt reached. saved_step: its
    newest checkpoint. resumed_step: the latest from which an attempt has resumed; later than
    `saved_step` if that was a local checkpoint. failures: in a row, without a new checkpoint.
    same_step_failures: in a row, at `last_failed_step`. since_s: when it came into this state.
    ended_s: when its last attempt ended, by the clock of the newest term. is_resized: it ended to
    go on with more slices.
    """

    state: str = "WAITING"
    why: str = ""
    attempts: int = 0
    last_cause: str | None = None
    last_host: int | None = None
    last_message: str = ""
    last_step: int | None = None
    saved_step: int | None = None
    resumed_step: int | None = None
    seconds: float = 0.0
    chip_seconds: float = 0.0
    failures: int = 0
    same_step_failures: int = 0
    last_failed_step: int | None = None
    preemptions: int = 0
    since_s: float = 0.0
    ended_s: float = 0.0
    is_resized: bool = False


_NEW = StageState()


@dataclass(frozen=True, kw_only=True)
class JobState:
    """What is known of a job.

    state, why: as shown. conducted: the state by conductors alone; a keeper may show QUEUED and
    PROVISIONING while there is no conductor. request: number of the last one that was taken.
    stopping: None, "stop" or "budget". is_resumed: a resume was taken, and the job is still over.
    missing: hosts that were last named as missing. begun_s: when it last began to wait for hosts.
    time_s, num_events: the time and the number of conductors' events so far. over_at: of the event
    with which the job was over.

    Times of what goes on (of gangs, ends and waits) are by the clock of the newest term: the event
    `term` moves them, so that no difference of two hosts' clocks counts as time that has passed.
    """

    state: str = "PLANNED"
    why: str = ""
    since_s: float = 0.0
    conducted: str = "PLANNED"
    stages: Mapping[str, StageState] = field(default_factory=dict)
    live: Mapping[str, Live] = field(default_factory=dict)
    request: int = 0
    stopping: str | None = None
    is_resumed: bool = False
    begun_s: float = 0.0
    missing: tuple[int, ...] = ()
    max_chip_hours: float | None = None
    max_price: float | None = None
    retrains_lost: bool = False
    time_s: float = 0.0
    num_events: int = 0
    over_at: int = 0

    def stage(self, name: str) -> StageState:
        return self.stages.get(name, _NEW)

    @property
    def chip_seconds(self) -> float:
        """Measured so far, by all stages."""
        return sum(stage.chip_seconds for stage in self.stages.values())

    @property
    def is_over(self) -> bool:
        return self.conducted in OVER

    @property
    def goes_on(self) -> bool:
        """Whether something is to happen still: it is not over, or a resume was taken."""
        return self.is_resumed or not self.is_over
