"""Other jobs of a working directory that would train the same phases.

One process at a time may train a phase: the job that comes second fails, on machines that are paid.
"""

from collections.abc import Iterable

from etils import epath

from codepretrain.errors import UserError
from codepretrain.launch import record_files
from codepretrain.launch.events import read_events
from codepretrain.launch.fold import fold_events
from codepretrain.launch.job import Stage
from codepretrain.launch.job_folder import job_folder, job_names


def shared_phases(workdir: epath.Path, stages: Iterable[Stage]) -> list[str]:
    """Returns a warning for each job that is not over and is to train one of these phases.

    A job that cannot be read warns of nothing.
    """
    wanted = {stage.fingerprint: stage.phase for stage in stages if stage.fingerprint}
    found = []
    for name in job_names(workdir):
        try:
            folder = job_folder(workdir, name)
            job = record_files.read_job_record(folder)
            state = fold_events(read_events(folder.events))
        except UserError:
            continue
        if not state.goes_on:
            continue
        shared = [
            wanted[stage.fingerprint]
            for stage in job.stages
            if stage.fingerprint in wanted and state.stage(stage.name).state != "DONE"
        ]
        if shared:
            phases = ", ".join(map(str, shared))
            found.append(
                f"job {name} is {state.state} and is to train {phases} too, but only one process "
                "can train a phase: stop that job, or let it go on"
            )
    return found
