"""What starts the machines of a job: for `--dry-run` to print, and to be done."""

import json
import shlex
from collections.abc import Sequence

from codepretrain.errors import UserError
from codepretrain.launch import gke, tpu_vm
from codepretrain.launch.commands import Run, run_command
from codepretrain.launch.host_settings import Shipment, startup_script
from codepretrain.launch.job import Job


def describe_start(job: Job, shipment: Shipment) -> list[str]:
    """Returns the commands and manifests that start a job, as lines to print."""
    machine = job.launch.machine
    if machine.kind == "gke":
        command = shlex.join(gke.apply_command(machine))
        manifest = json.dumps(gke.manifest(job.launch, shipment), indent=1)
        return [f"{command} <<'END'", manifest, "END"]
    if machine.kind == "local":
        return [shlex.join(["codepretrain", *host_arguments(job, host)]) for host in job.hosts]
    lines = []
    for index, name in enumerate(tpu_vm.resource_names(job.name, machine)):
        script = f"{name}.sh"
        lines += [f"# {script}:", startup_script(job.launch, shipment, index).rstrip()]
        lines.append(shlex.join(tpu_vm.create_command(machine, name, job=job.name, script=script)))
    return lines


def check_access(job: Job, *, run: Run = run_command) -> None:
    """Checks that the machines of a job can be asked for from here, by asking for their state.

    Raises:
      UserError: `gcloud` or `kubectl` is not installed, is not logged in, or gets no answer.
    """
    machine = job.launch.machine
    if machine.kind == "tpu_vm":
        tpu_vm.states(run(tpu_vm.list_command(machine, job.name), ""), job.name)
    elif machine.kind == "gke":
        done = run(gke.get_command(machine, job.name), "")
        if done.code:
            raise UserError(f"kubectl cannot look for the JobSet {job.name}: {done.reason}")


def host_arguments(job: Job, host: int) -> Sequence[str]:
    """Returns the arguments of `codepretrain` that start the supervisor of a host."""
    return ["launch", "host", job.name, "--host", str(host), "--workdir", job.workdir]


def apply_jobset(job: Job, shipment: Shipment, *, run: Run = run_command) -> str:
    """Creates the JobSet of a job unless it exists, and returns what kubectl says.

    Raises:
      UserError: kubectl fails.
    """
    manifest = json.dumps(gke.manifest(job.launch, shipment))
    done = run(gke.apply_command(job.launch.machine), manifest)
    if done.code:
        raise UserError(f"kubectl cannot create the JobSet {job.name}: {done.reason}")
    return done.stdout.strip()


def delete_jobset(job: Job, *, run: Run = run_command) -> None:
    """Deletes the JobSet of a job with its pods, if there is one.

    Raises:
      UserError: kubectl fails.
    """
    done = run(gke.delete_command(job.launch.machine, job.name), "")
    if done.code:
        raise UserError(f"kubectl cannot delete the JobSet {job.name}: {done.reason}")
