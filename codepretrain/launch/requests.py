"""What commands ask of a job that runs elsewhere: to stop, and to go on."""

import secrets
from dataclasses import dataclass

from codepretrain.errors import UserError
from codepretrain.files.hold_errors import InUseError
from codepretrain.files.lease import expiring
from codepretrain.launch import record_files
from codepretrain.launch.events import read_events
from codepretrain.launch.fold import fold_events
from codepretrain.launch.job import Job, Request
from codepretrain.launch.job_folder import JobFolder
from codepretrain.launch.keeper import TTL_S, keeper_folder
from codepretrain.launch.states import JobState


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What came of a request. number: of the request, None if none was needed."""

    number: int | None
    message: str


def stop(folder: JobFolder) -> Asked:
    """Asks a job to save and end.

    Raises:
      UserError: it is over already.
    """
    job, state = record_files.read_job_record(folder), state_of(folder)
    waiting = _waiting(folder, state)
    is_over = state.is_over and not any(request.kind == "resume" for request in waiting)
    if is_over:
        raise UserError(f"job {job.name} is {state.state}: there is nothing to stop")
    if waiting and waiting[-1].kind == "stop":
        return Asked(number=waiting[-1].number, message=f"job {job.name}: a stop is asked for")
    request = _create(folder, Request(number=0, kind="stop"))
    return Asked(number=request.number, message=f"job {job.name}: its workers are to save and end")


def resume(
    folder: JobFolder,
    *,
    max_chip_hours: float | None = None,
    max_price: float | None = None,
    retrain_lost: bool = False,
) -> Asked:
    """Asks a job that is over to go on. One that is not over needs its keeper alone.

    Args:
      max_chip_hours, max_price: new caps of the budget.
      retrain_lost: accept that steps of lost checkpoints are trained again.

    Raises:
      UserError: it is done, or it runs.
    """
    job, state = record_files.read_job_record(folder), state_of(folder)
    if state.conducted == "DONE":
        raise UserError(f"job {job.name} is DONE: there is nothing to resume")
    is_to_stop = any(request.kind == "stop" for request in _waiting(folder, state))
    if not state.is_over and state.stopping is None and not is_to_stop:
        if max_chip_hours is not None or max_price is not None or retrain_lost:
            raise UserError(f"job {job.name} is {state.state}: stop it first, to change its budget")
        if has_keeper(folder):
            raise UserError(f"job {job.name} is {state.state}: there is nothing to resume")
        return Asked(number=None, message=f"job {job.name} is {state.state}: keeps its machines")
    _check_budget(job, state, max_chip_hours=max_chip_hours, max_price=max_price)
    request = _create(
        folder,
        Request(
            number=0,
            kind="resume",
            max_chip_hours=max_chip_hours,
            max_price=max_price,
            retrain_lost=retrain_lost,
        ),
    )
    return Asked(number=request.number, message=f"job {job.name} goes on from {state.state}")


def state_of(folder: JobFolder) -> JobState:
    """Returns the state of a job, from its events."""
    return fold_events(read_events(folder.events))


def has_keeper(folder: JobFolder) -> bool:
    """Returns whether a keeper is alive; on another host that takes some seconds to see."""
    try:
        with expiring(keeper_folder(folder), ttl_s=TTL_S):
            return False
    except InUseError:
        return True


def _check_budget(
    job: Job, state: JobState, *, max_chip_hours: float | None, max_price: float | None
) -> None:
    if state.conducted == "OVER_BUDGET" and max_chip_hours is None and max_price is None:
        raise UserError(
            f"job {job.name} is OVER_BUDGET: {state.why}; raise the cap with --max-chip-hours or "
            "--max-price"
        )


def _waiting(folder: JobFolder, state: JobState) -> tuple[Request, ...]:
    """Returns the requests that no conductor has taken yet."""
    return record_files.read_requests(folder, after=state.request)


def _create(folder: JobFolder, request: Request) -> Request:
    return record_files.create_request(folder, request, by=f"command {secrets.token_hex(8)}")
