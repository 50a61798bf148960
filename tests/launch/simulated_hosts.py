"""Simulated machines, and the workers of their gangs."""

from dataclasses import dataclass, field

from codepretrain.launch.records import Attempt, End, Orders


@dataclass
class Worker:
    """A worker of a gang on one host."""

    attempt: Attempt
    joined: bool = False
    activity: str = "init"
    step: int | None = None
    counter: int = 0
    idle_s: float = 0.0
    resumed_step: int | None = None
    saved_step: int | None = None
    is_stuck: bool = False
    num_evaluated: int = 0
    end: End | None = None
    term_ticks: int | None = None  # since SIGTERM


@dataclass
class Gang:
    """The workers of an attempt, which proceed together."""

    attempt: Attempt
    workers: dict[int, Worker] = field(default_factory=dict)
    position: int = -1  # in `_ACTIVITIES`; then the loop
    step: int = 0
    save_ticks: int = 0
    broken_ticks: int = 0

    def running(self) -> dict[int, Worker]:
        return {host: worker for host, worker in self.workers.items() if worker.end is None}


@dataclass
class Host:
    """A machine with a supervisor."""

    number: int
    boot: int = 0
    beat: int = 0
    is_up: bool = True
    down_ticks: float = 0
    is_partitioned: float = 0
    stall_ticks: int = 0
    is_preempted: bool = False
    away_ticks: float = 0
    attempt: str | None = None
    ran: set[str] = field(default_factory=set)
    worker: Worker | None = None
    term: int = 0
    orders: Orders | None = None
