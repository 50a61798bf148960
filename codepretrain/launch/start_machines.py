"""What starts the machines of a job: for `--dry-run` to print, and to be done."""

import json
import shlex
from collections.abc import Sequence

from codepretrain.errors import UserError
from codepretrain.launch import gke, tpu_vm
from codepretrain.launch.commands import TIMEOUT_S, Run, run_command
from codepretrain.launch.host_settings import Shipment, startup_script
from codepretrain.launch.job import Job

_ENDED = ("DONE", "FAILED", "DELETING")
_DELETE_S = TIMEOUT_S - 30.0  # pods save and end first


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


def jobset_state(job: Job, *, run: Run = run_command) -> tuple[str, str]:
    """Returns the state of the JobSet of a job, and why in words (`gke.state_of`).

    Raises:
      UserError: kubectl fails.
    """
    done = run(gke.get_command(job.launch.machine, job.name), "")
    if done.code:
        raise UserError(f"kubectl cannot read the JobSet {job.name}: {done.reason}")
    return gke.state_of(done.stdout)


def delete_jobset(job: Job, *, run: Run = run_command) -> None:
    """Deletes the JobSet of a job, if there is one, and waits until its pods have ended.

    Raises:
      UserError: kubectl fails.
    """
    done = run(gke.delete_command(job.launch.machine, job.name, timeout_s=_DELETE_S), "")
    if done.code:
        raise UserError(f"kubectl cannot delete the JobSet {job.name}: {done.reason}")


def renew_jobset(job: Job, *, is_new_start: bool, run: Run = run_command) -> None:
    """Deletes a JobSet that has ended, so that another one can be made: it never starts again.

    One that waits in the queue keeps its place.

    Args:
      is_new_start: the job is over, and its pods with it, or they are about to end.

    Raises:
      UserError: kubectl fails.
    """
    state, _ = jobset_state(job, run=run)
    if state in _ENDED or (is_new_start and state not in ("QUEUED", "STOPPED")):
        delete_jobset(job, run=run)


def withdraw_jobset(job: Job, *, run: Run = run_command) -> bool:
    """Deletes the JobSet of a job that is to stop if it has no pods that could save and end.

    Suspending it would not do: Kueue continues what it has admitted.

    Returns whether nothing of it is left.

    Raises:
      UserError: kubectl fails.
    """
    state, _ = jobset_state(job, run=run)
    if state == "QUEUED" or state in _ENDED:
        delete_jobset(job, run=run)
        return True
    return state == "STOPPED"
