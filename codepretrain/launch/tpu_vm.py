"""TPU VMs: the commands of `gcloud` for queued resources, and what their answers mean.

Each slice is a queued resource of its own, `<job>-<slice>`, with one node of the same name: a slice
that is preempted is deleted and requested again while the others go on.

Source: `gcloud compute tpus queued-resources` of the Google Cloud CLI 528; Google Cloud
documentation, "Manage queued resources" (states). A named reservation needs the alpha command.
"""

import json
import re
from collections.abc import Mapping, Sequence

from codepretrain.errors import UserError
from codepretrain.launch.commands import Done
from codepretrain.launch.load_machine import slice_of
from codepretrain.launch.machine import MachineConfig

_GROUP = ("compute", "tpus", "queued-resources")
LABEL = "codepretrain-job"
# Of a refusal to create: what it is, and words of the message.
_REFUSALS: Sequence[tuple[str, str]] = (
    ("exists", r"ALREADY_EXISTS|already exists"),
    ("quota", r"RESOURCE_EXHAUSTED|[Qq]uota"),
    ("no_capacity", r"no more capacity|not enough (resources|capacity)|stockout|UNAVAILABLE"),
    ("refused", r"INVALID_ARGUMENT|PERMISSION_DENIED|NOT_FOUND|unrecognized arguments|FAILED_PREC"),
)


def resource_names(job: str, machine: MachineConfig) -> list[str]:
    """Returns the names of the queued resources of a job, in the order of its slices."""
    return [f"{job}-{index}" for index in range(machine.num_slices)]


def slice_index(name: str) -> int:
    """Returns the slice that a queued resource is for."""
    return int(name.rpartition("-")[2])


def create_command(machine: MachineConfig, name: str, *, job: str, script: str) -> list[str]:
    """Returns the command that requests a slice. script: the path of its startup script."""
    found = slice_of(machine)
    assert found is not None
    assert machine.runtime_version is not None
    track = ["alpha"] if machine.reservation else []
    capacity = {
        "on_demand": [],
        "spot": ["--spot"],
        "reserved": [f"--reservation={machine.reservation}"],
    }[machine.capacity]
    account = [f"--service-account={machine.service_account}"] if machine.service_account else []
    return [
        *("gcloud", *track, *_GROUP, "create", name, f"--node-id={name}"),
        f"--accelerator-type={found.accelerator_type}",
        f"--runtime-version={machine.runtime_version}",
        *capacity,
        *account,
        f"--labels={LABEL}={job}",
        f"--metadata-from-file=startup-script={script}",
        "--scopes=https://www.googleapis.com/auth/cloud-platform",
        "--async",
        *_where(machine),
    ]


def describe_command(machine: MachineConfig, name: str) -> list[str]:
    return ["gcloud", *_GROUP, "describe", name, "--format=json", *_where(machine)]


def delete_command(machine: MachineConfig, name: str) -> list[str]:
    """Returns the command that deletes a queued resource with its nodes."""
    return ["gcloud", *_GROUP, "delete", name, "--force", "--async", *_where(machine)]


def list_command(machine: MachineConfig, job: str) -> list[str]:
    """Returns the command that lists the queued resources of a job."""
    mine = f"--filter=name~/queuedResources/{job}-[0-9]+$"
    return ["gcloud", *_GROUP, "list", mine, "--format=json", *_where(machine)]


def states(done: Done, job: str) -> Mapping[str, str]:
    """Returns the state of every queued resource of a job, by name, from the answer of `list`.

    Raises:
      UserError: the command failed, or its answer is not what this version understands.
    """
    if done.code:
        raise UserError(f"gcloud cannot list the queued resources of {job}: {done.reason}")
    try:
        entries = json.loads(done.stdout)
        found = {entry["name"].rpartition("/")[2]: entry["state"]["state"] for entry in entries}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"gcloud answered in an unknown form about the queued resources of {job}: "
            f"{done.stdout[:200]!r}"
        ) from error
    return {name: found[name] for name in sorted(found) if _is_of(name, job)}


def refusal(done: Done) -> str:
    """Returns why a request was refused: exists, quota, no_capacity, refused or unknown."""
    for kind, words in _REFUSALS:
        if re.search(words, done.stderr):
            return kind
    return "unknown"


def _is_of(name: str, job: str) -> bool:
    return re.fullmatch(rf"{re.escape(job)}-\d+", name) is not None


def _where(machine: MachineConfig) -> list[str]:
    return [f"--project={machine.project}", f"--zone={machine.zone}", "--quiet"]
