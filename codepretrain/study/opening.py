"""Opens a study in every process of a job, and checks that all see the same files and config."""

import os
import secrets
import time
from dataclasses import replace
from typing import Any

import jax
from etils import epath

from codepretrain.config.parse import to_dict
from codepretrain.config.schema import StudyConfig
from codepretrain.errors import PassingError, UserError, quoted
from codepretrain.files import storage
from codepretrain.files.atomic import write_bytes
from codepretrain.files.differences import differences
from codepretrain.files.json_values import plain
from codepretrain.hosts import decide, gather
from codepretrain.metrics.writer import check_installed
from codepretrain.study.provenance import package_versions, source_digest
from codepretrain.study.workspace import Workspace

_APPEARS_S = 60.0  # how long a network file system may hide a new file from other hosts
_SHARE = "all hosts must share one --workdir, and run the same code with the same --config"


def open_workspace(workspace: Workspace) -> Workspace:
    """Returns the study with all values read anew, checked before anything is computed.

    Raises:
      UserError: the study cannot be trained here, in any of the processes; or one process sees
        other files than process 0.
    """
    if jax.process_count() > 1:
        _check_shared(workspace.workdir)
    workspace = Workspace(workspace.config, workspace.workdir)
    fingerprints = gather("the study", lambda: _checked(workspace))
    for process, theirs in enumerate(fingerprints):
        if theirs != fingerprints[0]:
            name = next(n for n in theirs if theirs[n] != fingerprints[0][n])
            raise UserError(
                f"process {process} computes another fingerprint for phase {name!r} than process "
                f"0: {_SHARE}"
            )
    folders = decide("the folders of the runs", lambda: _folders(workspace))
    return replace(workspace, run_dirs={name: epath.Path(path) for name, path in folders.items()})


def check_same_start(config: StudyConfig, *, attempt: str = "", **choices: Any) -> None:
    """Checks that every process of the job was started alike, before they do anything together.

    Also what is outside the fingerprints (evaluations, logging, execution, flags) decides which
    steps a process takes: processes that differ in it would wait for each other forever.

    Args:
      attempt: of which attempt this process is.
      choices: the command, and its flags that decide what it does, as JSON values.

    Raises:
      UserError: names the first process that differs, and in what.
    """
    attempts = gather("its attempt", lambda: attempt)
    for process, theirs in enumerate(attempts):
        if theirs != attempts[0]:
            raise PassingError(
                f"process {process} is of attempt {quoted(theirs)}, process 0 of attempt "
                f"{quoted(attempts[0])} (--attempt): a process of an earlier attempt is still "
                "alive; end it and start all processes again"
            )
    values = to_dict(config)
    # Each host has its own; whether there is one decides what all of them do.
    values["checkpoint"]["local_folder"] = config.checkpoint.local_folder is not None
    start = {
        "config": values,
        "command": choices,
        "source_digest": source_digest(),
        "packages": package_versions(),
    }
    starts = gather("how it was started", lambda: plain(start))
    for process, theirs in enumerate(starts):
        if found := differences(starts[0], theirs, names=("process 0", f"process {process}")):
            raise UserError(f"process {process} was started differently: {found[0]}; {_SHARE}")


def _checked(workspace: Workspace) -> dict[str, str]:
    check_installed(workspace.config.logging)
    workspace.check_caps()
    workspace.check_imports()
    return {name: workspace.fingerprint(name) for name in workspace.phases}


def _folders(workspace: Workspace) -> dict[str, str]:
    return {name: os.fspath(workspace.run_dir(name)) for name in workspace.phases}


def _check_shared(workdir: epath.Path) -> None:
    """Checks that every process sees a file that process 0 writes into the working directory."""
    path = workdir / decide("its proof of the --workdir", lambda: f".shared-{secrets.token_hex(8)}")
    decide("its proof of the --workdir", lambda: write_bytes(path, b"-"))
    try:
        gather("whether it sees the --workdir", lambda: _wait_for(path, workdir))
    finally:
        if jax.process_index() == 0:
            storage.remove(path)


def _wait_for(path: epath.Path, workdir: epath.Path) -> None:
    deadline = time.monotonic() + _APPEARS_S
    while not storage.exists(path):
        if time.monotonic() > deadline:
            raise UserError(
                f"process {jax.process_index()} does not see the files that process 0 writes in "
                f"{workdir}: {_SHARE}"
            )
        time.sleep(0.5)
