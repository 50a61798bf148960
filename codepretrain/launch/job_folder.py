"""The folder of a job: who writes what.

<workdir>/jobs/<job>/
    job.json                 what to run, on what; written once, by `launch submit`
    bundle/<sha256>/         the code, the lock and the configs that every host runs
    code/<sha256>/           the code of a local job, unpacked from the bundle; made by its keeper
    requests/<number>.json   stop and resume; created by a command, never replaced
    conductor/.lease         held by the process that decides (`files/lease.py`)
    orders.json              what every host is to do now; rewritten by the conductor
    attempts/<id>.json       one gang: its hosts, its address; created once, so that a number is
                             used once, whoever conducts
    hosts/<host>.json        a host's record; rewritten by its supervisor at every period
    events/<writer>.jsonl    what happened; a journal per writer
    logs/<attempt>/<process>.log
    stacks/<attempt>/<process>.txt
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from etils import epath

from codepretrain.errors import UserError, quoted
from codepretrain.files import storage

_JOB = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_TIME_LETTERS = len("20261127-031500-4f2a")  # at the end of a job's name
_MAX_LISTED = 20
_SIMILAR = 0.8  # jobs of one study differ in their times only


@dataclass(frozen=True)
class JobFolder:
    """The paths of a job."""

    path: epath.Path

    @property
    def job(self) -> epath.Path:
        return self.path / "job.json"

    @property
    def bundle(self) -> epath.Path:
        return self.path / "bundle"

    @property
    def requests(self) -> epath.Path:
        return self.path / "requests"

    @property
    def conductor(self) -> epath.Path:
        return self.path / "conductor"

    @property
    def orders(self) -> epath.Path:
        return self.path / "orders.json"

    @property
    def attempts(self) -> epath.Path:
        return self.path / "attempts"

    @property
    def hosts(self) -> epath.Path:
        return self.path / "hosts"

    @property
    def events(self) -> epath.Path:
        return self.path / "events"

    def log(self, attempt: str, process: int) -> epath.Path:
        return self.path / "logs" / attempt / f"{process}.log"

    def stacks(self, attempt: str, process: int) -> epath.Path:
        return self.path / "stacks" / attempt / f"{process}.txt"


def job_folder(workdir: epath.Path, job: str) -> JobFolder:
    """Returns the folder of a job, which need not exist yet.

    Raises:
      UserError: the name cannot be that of a job.
    """
    if not _JOB.fullmatch(job):
        raise UserError(
            f"JOB: expected lower-case letters, digits, - and _, at most 63, found {quoted(job)}"
        )
    return JobFolder(workdir / "jobs" / job)


def read_job(workdir: epath.Path, job: str) -> tuple[JobFolder, Mapping[str, Any]]:
    """Returns the folder of a job and what `job.json` says.

    Raises:
      UserError: there is no such job; names those there are.
    """
    folder = job_folder(workdir, job)
    if not storage.is_file(folder.job):
        known = job_names(workdir)
        near = difflib.get_close_matches(job, known, n=1, cutoff=_SIMILAR)
        listing = f"; did you mean {near[0]}?" if near else _listing(known)
        raise UserError(f"JOB: there is no job {quoted(job)} in {workdir}{listing}")
    return folder, storage.read_json(folder.job)


def check_given(workdir: epath.Path, job: str | None) -> None:
    """Raises UserError, naming the jobs that there are, unless one is named."""
    if job is None:
        known = job_names(workdir)
        there = _listing(known) if known else "; there are none"
        raise UserError(f"JOB: expected the name of a job in {workdir}{there}")


def job_names(workdir: epath.Path) -> list[str]:
    """Returns the jobs of a working directory, the newest last."""
    found = [name for name in storage.names(workdir / "jobs") if _JOB.fullmatch(name)]
    return sorted(found, key=lambda name: name[-_TIME_LETTERS:])


def _listing(known: list[str]) -> str:
    """Returns "; there are X, Y", the newest first."""
    return f"; there are {', '.join(reversed(known[-_MAX_LISTED:]))}" if known else ""
