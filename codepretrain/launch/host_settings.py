"""What a host of a pod is told when it starts: the settings of `host_start.py`, as JSON.

They are readable by everyone who can see the machine, so secrets are in them by name only.
"""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codepretrain.files import storage
from codepretrain.launch.load_machine import hosts_per_slice, slice_of
from codepretrain.launch.machine import LaunchConfig

FOLDER = "/var/lib/codepretrain"
_UNIT = "codepretrain"
_END = "END_OF_FILE_THAT_THE_HOST_STARTS_WITH"
# Evaluations that read benchmarks or write text need the packages of this extra.
_NEEDS_EVAL = ("harness", "code_generation", "completions")


@dataclass(frozen=True, kw_only=True)
class Shipment:
    """What the hosts of a job run. extras: of the wheel, that they install."""

    job: str
    workdir: str
    bundle: str
    extras: tuple[str, ...]


def extras_for(config: LaunchConfig, *, evaluators: Sequence[str]) -> tuple[str, ...]:
    """Returns the extras that a host installs: its accelerator's, its store's, its evaluations'."""
    found = slice_of(config.machine)
    accelerator = () if found is None else ("tpu",) if found.is_tpu else ("cuda",)
    needs_eval = any(kind in _NEEDS_EVAL for kind in evaluators)
    return (*accelerator, "gcs", *(("eval",) if needs_eval else ()))


def host_settings(
    config: LaunchConfig, shipment: Shipment, *, slice_index: int | None = None
) -> dict[str, Any]:
    """Returns the settings of the hosts of one slice; of all slices where the pod knows its own."""
    machine = config.machine
    return {
        "kind": machine.kind,
        "job": shipment.job,
        "workdir": shipment.workdir,
        "bundle": shipment.bundle,
        "extras": list(shipment.extras),
        "folder": FOLDER,
        "hosts_per_slice": hosts_per_slice(machine),
        "project": machine.project,
        "zone": machine.zone,
        "env": dict(machine.env),
        "secrets": dict(machine.secrets),
        **({} if slice_index is None else {"slice": slice_index}),
    }


def host_start_program() -> str:
    """Returns the text of `host_start.py`."""
    return storage.read_text(Path(__file__).with_name("host_start.py"))


def startup_script(config: LaunchConfig, shipment: Shipment, slice_index: int) -> str:
    """Returns the script that every host of a TPU slice runs at each boot.

    It starts the supervisor as a service of systemd, which starts it again when it fails. Exit code
    2 is a user error and is not tried again. When it ends with 0, the job is over, and the slice is
    returned even if no keeper is running.
    """
    settings = json.dumps(host_settings(config, shipment, slice_index=slice_index))
    program = f"{FOLDER}/host_start.py"
    start = f"/usr/bin/python3 {program} {shlex.quote(settings)}"
    properties = [
        "Restart=on-failure",
        "RestartSec=10",
        "RestartPreventExitStatus=2",
        "SuccessExitStatus=143",
        "KillMode=mixed",
        f"TimeoutStopSec={config.watchdog.grace_s:g}",
        "TasksMax=infinity",
        "LimitNOFILE=1048576",
    ]
    flags = " \\\n  ".join(f"--property={value}" for value in properties)
    release = shlex.quote(f"ExecStopPost=/bin/sh {FOLDER}/release.sh")
    return f"""#!/bin/bash
# Starts the supervisor of job {shipment.job}, slice {slice_index}.
set -eu
install -d -m 0755 {FOLDER}
cat > {program} <<'{_END}'
{host_start_program()}{_END}
cat > {FOLDER}/release.sh <<'{_END}'
exec {start} --release
{_END}
systemctl is-active --quiet {_UNIT} && exit 0
systemctl reset-failed {_UNIT} 2> /dev/null || true
exec systemd-run --unit={_UNIT} \\
  {flags} \\
  --property={release} \\
  {start}
"""
