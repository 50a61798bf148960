"""What a worker of a gang is started with: its arguments and its environment."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from codepretrain.files.storage import is_local
from codepretrain.launch.job import Job
from codepretrain.launch.load_machine import slice_of
from codepretrain.launch.records import Attempt

EXPECTED_STEP = "CODEPRETRAIN_EXPECTED_STEP"
CACHE = "JAX_COMPILATION_CACHE_DIR"
# Of libtpu: which slice of how many this host is in, and who connects them.
_SLICES: Final = ("MEGASCALE_COORDINATOR_ADDRESS", "MEGASCALE_NUM_SLICES", "MEGASCALE_SLICE_ID")


def process_id(attempt: Attempt, host: int) -> int:
    """Returns the process id of a host's worker."""
    return attempt.hosts.index(host)


def worker_arguments(job: Job, attempt: Attempt, host: int) -> list[str]:
    """Returns the arguments of `codepretrain` on one host of an attempt.

    Preparation and report use no devices: they run as they are.
    """
    if _is_single(job, attempt):
        return list(attempt.arguments)
    machine, watchdog = job.launch.machine, job.launch.watchdog
    arguments = [*attempt.arguments, "--attempt", attempt.id]
    if attempt.coordinator is not None:
        arguments += [
            *("--coordinator", attempt.coordinator),
            *("--num-processes", str(len(attempt.hosts))),
            *("--process-id", str(process_id(attempt, host))),
            # The conductor watches the time that workers take to meet; it knows who is missing.
            *("--join-timeout-s", str(_whole(watchdog.init_s))),
            *("--heartbeat-timeout-s", str(_whole(watchdog.heartbeat_s))),
        ]
    has_devices = any(word.startswith("--cpu-devices") for word in attempt.arguments)
    if machine.kind == "local" and not has_devices:
        arguments += ["--cpu-devices", str(machine.cpu_devices)]
    return arguments


def worker_environment(
    job: Job, attempt: Attempt, host: int, *, base: Mapping[str, str]
) -> dict[str, str]:
    """Returns the environment of the worker on one host.

    Args:
      base: the supervisor's own, which alone holds credentials.
    """
    own = {name: value for name, value in base.items() if name not in _SLICES}
    own |= job.launch.machine.env
    if not _is_single(job, attempt):  # a variable of JAX's makes every command import it
        for name, value in _cache(job.workdir).items():
            own.setdefault(name, value)
    own |= _slices(job, attempt, host)
    own |= attempt.env
    if attempt.expected_step is not None:
        own[EXPECTED_STEP] = str(attempt.expected_step)
    return own


def _is_single(job: Job, attempt: Attempt) -> bool:
    """Returns whether an attempt is of a stage that uses no devices."""
    stage = job.by_name.get(attempt.stage)
    return stage is not None and stage.is_single


def _cache(workdir: str) -> Mapping[str, str]:
    """Returns what makes JAX keep compiled programs below the workdir.

    A program that compiles in less than JAX's own limit of one second is not kept: there are
    hundreds of them, and each would be a file to look up. Autotuning results of GPUs are written by
    XLA itself, which knows local paths only.
    """
    found = {CACHE: f"{workdir.rstrip('/')}/compilation_cache"}
    if not is_local(workdir):
        found["JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES"] = "none"
    return found


def _slices(job: Job, attempt: Attempt, host: int) -> Mapping[str, str]:
    """Returns what libtpu needs to connect several slices; nothing for one slice."""
    found = slice_of(job.launch.machine)
    slices = sorted(job.slices_of(attempt.hosts))
    if found is None or not found.is_tpu or len(slices) < 2 or attempt.coordinator is None:
        return {}
    here = slices.index(host // job.hosts_per_slice)
    address, _, _ = attempt.coordinator.rpartition(":")
    return dict(zip(_SLICES, (address, str(len(slices)), str(here)), strict=True))


def _whole(seconds: float) -> int:
    return max(1, math.ceil(seconds))


def describe(arguments: Sequence[str]) -> str:
    """Returns the command of a worker for a line of the supervisor's output."""
    return " ".join(["codepretrain", *arguments])
