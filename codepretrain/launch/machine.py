"""Machines as data: what `launch/*.py` return, and how a job is kept going on them.

A job runs the stages of a study (its preparation, each phase, its report) on a machine: one or more
equal slices of hosts. Standard library only, like `config/schema.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

EMPTY: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class MachineConfig:
    """Equal slices of one kind of hardware, and where to get them.

    `kind` is "local", "tpu_vm" or "gke". `topology` is a chip and its shape, such as "v5e:16x16" or
    "h100:8" (nodes of 8 GPUs: "h100:64" is 8 nodes); on "local" it is None, and a slice is `hosts`
    supervisors of `cpu_devices` CPU devices each. A job goes on with `min_slices` of the
    `num_slices` while others are not available. `capacity` is "on_demand", "spot" or "reserved"
    (then `reservation` names it). `secrets` maps an environment variable to the name of a secret,
    never to its value.
    """

    kind: str = "local"
    topology: str | None = None
    num_slices: int = 1
    min_slices: int = 1
    capacity: str = "on_demand"
    reservation: str | None = None
    project: str | None = None
    zone: str | None = None
    cluster: str | None = None
    queue: str | None = None
    image: str | None = None
    runtime_version: str | None = None
    service_account: str | None = None
    secrets: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    env: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    hosts: int = 1
    cpu_devices: int = 1


@dataclass(frozen=True, kw_only=True)
class RestartConfig:
    """When a stage is started again.

    A crash, a hang or an exhausted memory is a failure: `max_failures` of them in a row, without a
    checkpoint saved in between, end the job. Before the n-th restart in a row it waits
    `backoff_s` · 2^(n-1) seconds, at most `max_backoff_s`. A preemption costs nothing until there
    were `max_preemptions`. Failures at one and the same step end the job at `same_step_limit`.
    """

    max_failures: int = 5
    max_preemptions: int = 1000
    backoff_s: float = 5.0
    max_backoff_s: float = 300.0
    same_step_limit: int = 3


@dataclass(frozen=True, kw_only=True)
class BudgetConfig:
    """Caps of a job, None for none; `max_slices` phases and slices may be in use at a time.

    The expected chip-hours of a stage are reserved before it starts. At a cap the job saves and
    ends. `max_price` needs `config.cost.price_per_chip_hour`.
    """

    max_chip_hours: float | None = None
    max_price: float | None = None
    max_slices: int | None = None


@dataclass(frozen=True, kw_only=True)
class WatchdogConfig:
    """Seconds without progress after which a worker counts as hanging, by its activity.

    A step may take `step_factor` times the median step so far, at least `step_min_s`. `heartbeat_s`
    is the silence after which a host is lost. `grace_s` is what the machine grants between SIGTERM
    and SIGKILL.
    """

    heartbeat_s: float = 20.0
    init_s: float = 900.0
    restore_s: float = 1800.0
    compile_s: float = 1800.0
    evaluate_s: float = 1800.0
    save_s: float = 1800.0
    step_factor: float = 10.0
    step_min_s: float = 120.0
    grace_s: float = 30.0


@dataclass(frozen=True, kw_only=True)
class LaunchConfig:
    """What `get_machine()` returns."""

    machine: MachineConfig = MachineConfig()
    restart: RestartConfig = RestartConfig()
    budget: BudgetConfig = BudgetConfig()
    watchdog: WatchdogConfig = WatchdogConfig()
