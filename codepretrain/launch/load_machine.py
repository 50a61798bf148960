"""Loads a machine file (`launch/*.py`): like an experiment file, with `get_machine()`."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from codepretrain.config.load import overridden
from codepretrain.config.python_file import values_of
from codepretrain.config.values import (
    FILLED,
    NOT_NEGATIVE,
    POSITIVE,
    Rule,
    check_values,
    one_of,
    whole,
)
from codepretrain.errors import UserError, quoted
from codepretrain.launch.machine import LaunchConfig, MachineConfig
from codepretrain.launch.shapes import Slice, compact_shape, parse_slice

ROOT = "machine"
_FIELDS = f"{ROOT}.machine"
_MAX_HOSTS = 4096
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
_SECRET_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?")
_OBJECT = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_SOUNDS_SECRET = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|PRIVATE|API_?KEY|ACCESS_KEY", re.I)


def _matching(expected: str, pattern: str) -> Rule:
    compiled = re.compile(pattern)
    return Rule(expected, lambda value: compiled.fullmatch(value) is not None)


RULES: Mapping[str, Rule] = {
    "machine.kind": one_of("local", "tpu_vm", "gke"),
    "machine.topology": FILLED,
    "machine.num_slices": whole(1, 256),
    "machine.min_slices": whole(1, 256),
    "machine.capacity": one_of("on_demand", "spot", "reserved"),
    "machine.reservation": _matching(
        "the name of a reservation: letters, digits, -, _, and / in a full name",
        r"[A-Za-z0-9][A-Za-z0-9/_-]{0,254}",
    ),
    "machine.project": _matching(
        "the id of a Google Cloud project: 6 to 30 lower-case letters, digits and -",
        r"([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]",
    ),
    "machine.zone": _matching(
        "a zone, such as us-west4-a (or, for a regional cluster, its region)",
        r"[a-z]+-[a-z]+[0-9]+(-[a-z0-9]+)?",
    ),
    "machine.cluster": _matching(
        "the name of a cluster: lower-case letters, digits and -", r"[a-z][a-z0-9-]{0,39}"
    ),
    "machine.queue": _matching(
        "the name of a Kueue LocalQueue: lower-case letters, digits and -",
        r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?",
    ),
    "machine.image": _matching("a container image, such as python:3.12", r"[A-Za-z0-9][\w.:/@-]+"),
    "machine.runtime_version": _matching(
        "a TPU software version, such as v2-alpha-tpuv6e", r"[a-z0-9][a-z0-9.-]+"
    ),
    "machine.service_account": _matching(
        "a service account: an e-mail address on TPU VMs, a Kubernetes name on GKE",
        r"[a-z0-9][a-z0-9@.:-]+",
    ),
    "machine.hosts": whole(1, _MAX_HOSTS),
    "machine.cpu_devices": whole(1, 1024),
    "restart.max_failures": whole(0),
    "restart.max_preemptions": whole(0),
    "restart.backoff_s": NOT_NEGATIVE,
    "restart.max_backoff_s": NOT_NEGATIVE,
    "restart.same_step_limit": whole(1),
    # Hosts report every second, in an object store every other.
    "watchdog.heartbeat_s": Rule("a number from 5", lambda value: value >= 5),
    "budget.max_chip_hours": POSITIVE,
    "budget.max_price": POSITIVE,
    "budget.max_slices": whole(1, 256),
    **{
        f"watchdog.{name}": POSITIVE
        for name in (
            *("init_s", "restore_s", "compile_s", "evaluate_s", "save_s"),
            *("step_factor", "step_min_s", "grace_s"),
        )
    },
}
# Kind → fields that it needs, and what they are.
_NEEDED: Mapping[str, Mapping[str, str]] = {
    "local": {},
    "tpu_vm": {
        "topology": "a chip and its shape, such as v5e:16x16",
        "project": "the id of the Google Cloud project",
        "zone": "the zone of the TPUs, such as us-west4-a",
        "runtime_version": "the TPU software version",
    },
    "gke": {
        "topology": "a chip and its shape, such as v5e:16x16 or h100:64",
        "project": "the id of the Google Cloud project",
        "zone": "the zone or region of the cluster",
        "cluster": "the name of the cluster",
        "queue": "the name of a Kueue LocalQueue",
        "image": "a container image with Python 3.11 or later and pip",
    },
}
# Fields of some kinds only; elsewhere they are left at their defaults.
_OWN: Mapping[str, tuple[str, ...]] = {
    "hosts": ("local",),
    "cpu_devices": ("local",),
    "topology": ("tpu_vm", "gke"),
    "reservation": ("tpu_vm", "gke"),
    "service_account": ("tpu_vm", "gke"),
    "secrets": ("tpu_vm", "gke"),
    "runtime_version": ("tpu_vm",),
    "cluster": ("gke",),
    "queue": ("gke",),
    "image": ("gke",),
}


def load_machine(path: str | Path, overrides: Sequence[str] = ()) -> LaunchConfig:
    """Returns the machine that `path`'s `get_machine()` describes, overridden and validated.

    Args:
      path: a Python file; only its `get_machine()` is called.
      overrides: flags such as `--machine.machine.num_slices=2`.

    Raises:
      UserError: the file is missing or fails, or a value is wrong.
    """
    values = values_of(Path(path), function="get_machine", cls=LaunchConfig, what="machine file")
    config = overridden(LaunchConfig, values, overrides, root=ROOT)
    check_machine(config)
    return config


def check_machine(config: LaunchConfig) -> None:
    """Raises UserError, naming the field, unless the machine can exist."""
    check_values(config, RULES, root=ROOT)
    machine = config.machine
    for name, what in _NEEDED[machine.kind].items():
        if getattr(machine, name) is None:
            raise UserError(
                f"{_FIELDS}.{name}: expected {what}, got None: set it in the machine file or with "
                f"--{_FIELDS}.{name}=VALUE"
            )
    default = MachineConfig()
    for name, kinds in _OWN.items():
        if machine.kind not in kinds and getattr(machine, name) != getattr(default, name):
            raise UserError(
                f"{_FIELDS}.{name} is for {' and '.join(kinds)}, got "
                f"{quoted(getattr(machine, name))} with {_FIELDS}.kind={machine.kind!r}: remove it"
            )
    _check_slices(config)
    _check_capacity(machine)
    _check_gke_names(machine)
    _check_variables(machine)


def slice_of(machine: MachineConfig) -> Slice | None:
    """Returns the slice that a machine consists of; None for local CPU devices."""
    if machine.kind == "local":
        return None
    assert machine.topology is not None
    return parse_slice(machine.topology, path=f"{_FIELDS}.topology")


def hosts_per_slice(machine: MachineConfig) -> int:
    """Returns the number of supervisors, and so of workers, of one slice."""
    found = slice_of(machine)
    return machine.hosts if found is None else found.num_hosts


def chips_per_slice(machine: MachineConfig) -> int:
    """Returns the number of chips of one slice; of CPU devices on a local machine."""
    found = slice_of(machine)
    return machine.hosts * machine.cpu_devices if found is None else found.num_chips


def _check_slices(config: LaunchConfig) -> None:
    machine, budget = config.machine, config.budget
    if machine.min_slices > machine.num_slices:
        raise UserError(
            f"{_FIELDS}.min_slices: expected at most {_FIELDS}.num_slices = {machine.num_slices}, "
            f"got {machine.min_slices}"
        )
    if budget.max_slices is not None and budget.max_slices < machine.min_slices:
        raise UserError(
            f"{ROOT}.budget.max_slices: expected at least {_FIELDS}.min_slices = "
            f"{machine.min_slices}, got {budget.max_slices}"
        )
    found = slice_of(machine)
    if found is None or machine.kind != "tpu_vm":
        return
    assert machine.zone is not None
    if machine.zone.count("-") < 2:
        raise UserError(
            f"{_FIELDS}.zone: expected a zone for {_FIELDS}.kind='tpu_vm', such as us-west4-a, got "
            f"the region {machine.zone!r}"
        )
    if not found.is_tpu:
        raise UserError(
            f"{_FIELDS}.topology: expected a TPU for {_FIELDS}.kind='tpu_vm', got {found.name}: "
            "use 'gke'"
        )
    if compact_shape(found) != found.dims:
        raise UserError(
            f"{_FIELDS}.topology: a TPU VM of {found.num_chips} chips ({found.accelerator_type}) "
            f"has the shape {compact_shape(found)}, got {found.dims}: change it, or use "
            f"{_FIELDS}.kind='gke'"
        )


def _check_capacity(machine: MachineConfig) -> None:
    if machine.kind == "local" and machine.capacity != "on_demand":
        raise UserError(
            f"{_FIELDS}.capacity: expected 'on_demand' on a local machine, got {machine.capacity!r}"
        )
    if (machine.capacity == "reserved") != (machine.reservation is not None):
        raise UserError(
            f"{_FIELDS}.reservation: expected the name of the reservation with "
            f"{_FIELDS}.capacity='reserved' and None otherwise, got {machine.reservation!r} with "
            f"{machine.capacity!r}"
        )


def _check_gke_names(machine: MachineConfig) -> None:
    """Checks names of which a manifest makes a label or the name of an object."""
    if machine.kind != "gke":
        return
    if machine.reservation is not None and not _LABEL.fullmatch(machine.reservation):
        raise UserError(
            f"{_FIELDS}.reservation: expected the short name of a reservation for "
            f"{_FIELDS}.kind='gke', which is a label of nodes: at most 63 letters, digits, - and "
            f"_, got {quoted(machine.reservation)}"
        )
    if machine.service_account is not None and not _OBJECT.fullmatch(machine.service_account):
        raise UserError(
            f"{_FIELDS}.service_account: expected the name of a Kubernetes service account for "
            f"{_FIELDS}.kind='gke', got {quoted(machine.service_account)}"
        )


def _check_variables(machine: MachineConfig) -> None:
    """Checks the names of environment variables, and that secrets are given by name."""
    for field in ("env", "secrets"):
        for name in getattr(machine, field):
            if not _VARIABLE.fullmatch(name):
                raise UserError(
                    f"{_FIELDS}.{field}: expected names of environment variables, got "
                    f"{quoted(name)}"
                )
    for name in machine.env:
        if name in machine.secrets:
            raise UserError(f"{_FIELDS}.env and {_FIELDS}.secrets both have {name}: remove one")
        if _SOUNDS_SECRET.search(name):
            raise UserError(
                f"{_FIELDS}.env.{name} looks like a secret, and its value would be stored with the "
                f"job: store it in Secret Manager, and its name there as {_FIELDS}.secrets.{name}"
            )
    for name, secret in machine.secrets.items():
        if not _SECRET_NAME.fullmatch(secret):
            raise UserError(  # not the value: it may be the secret itself
                f"{_FIELDS}.secrets.{name}: expected the name of a secret in Secret Manager "
                "(letters, digits, - and _), not its value"
            )
