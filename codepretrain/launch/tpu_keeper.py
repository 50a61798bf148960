"""Keeps the queued resources of a job: requests slices, and replaces those that were taken away.

    state                                         action
    none                                          create, not before the end of a wait
    CREATING ACCEPTED WAITING_FOR_RESOURCES
    PROVISIONING SUSPENDING DELETING              wait
    ACTIVE                                        nothing; forget earlier failures
    SUSPENDED (preempted)                         delete --force, then create at once
    FAILED                                        delete --force, then create after a wait
    any, once the job is over; any other slice    delete --force, until none is left

A request that is refused for want of quota or capacity is repeated after a wait, which doubles from
30 s to 10 min. An answer that cannot be had or understood never counts as "none": the keeper waits
and asks again. So no slice is requested twice, and none is left behind.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from codepretrain.errors import UserError
from codepretrain.files.atomic import write_text
from codepretrain.launch import tpu_vm
from codepretrain.launch.commands import Run, run_command
from codepretrain.launch.host_settings import Shipment, startup_script
from codepretrain.launch.machine import LaunchConfig
from codepretrain.launch.troubles import EVENT_REMINDER_S, Troubles

POLL_S = 15.0
MIN_WAIT_S, MAX_WAIT_S = 30.0, 600.0
_WAITING = ("CREATING", "ACCEPTED", "WAITING_FOR_RESOURCES", "PROVISIONING", "SUSPENDING")


@dataclass(frozen=True)
class Memory:
    """What the keeper remembers of a slice. retry_at: it is not requested before, on its clock."""

    num_failures: int = 0
    retry_at: float = 0.0
    was_active: bool = False


@dataclass(frozen=True)
class Action:
    """`kind` is "create" or "delete"; `why` is for the record of the job."""

    kind: str
    name: str
    why: str


def decide(
    wanted: Sequence[str],
    observed: Mapping[str, str],
    memory: Mapping[str, Memory],
    *,
    is_over: bool,
    now: float,
) -> tuple[list[Action], dict[str, Memory]]:
    """Returns what to do about the queued resources of a job, and what to remember.

    Args:
      wanted: names of the slices that the machine consists of.
      observed: state by name, of all queued resources of the job.
      is_over: whether the job needs no machine any more.
      now: seconds on a monotonic clock.
    """
    keep = [] if is_over else list(wanted)
    actions = [
        Action("delete", name, "the job is over" if is_over else "no slice of the machine")
        for name, state in observed.items()
        if name not in keep and state != "DELETING"
    ]
    remembered = dict(memory)
    for name in keep:
        last = remembered.get(name, Memory())
        action, remembered[name] = _decide_slice(name, observed.get(name), last, now)
        actions += [action] if action else []
    return actions, remembered


def job_state(wanted: Sequence[str], observed: Mapping[str, str]) -> tuple[str, str]:
    """Returns the state of a job whose slices are not all there, QUEUED or PROVISIONING, and why.

    PROVISIONING: every slice is granted; hosts are made, or start.
    """
    states = [observed.get(name, "not requested") for name in wanted]
    counts = {state: states.count(state) for state in states}
    words = ", ".join(f"{number} {state}" for state, number in counts.items())
    granted = all(state in ("PROVISIONING", "ACTIVE") for state in states)
    return ("PROVISIONING" if granted else "QUEUED"), f"slices: {words}"


def after_refusal(memory: Memory, now: float) -> Memory:
    """Returns what to remember of a slice whose request was refused: wait twice as long."""
    wait = min(MAX_WAIT_S, MIN_WAIT_S * 2 ** min(memory.num_failures, 30))
    return replace(memory, num_failures=memory.num_failures + 1, retry_at=now + wait)


def _after_failure(last: Memory, now: float) -> Memory:
    """As `after_refusal`; a failure that is seen again before the wait is over counts once."""
    return last if now < last.retry_at else after_refusal(last, now)


def _decide_slice(
    name: str, state: str | None, last: Memory, now: float
) -> tuple[Action | None, Memory]:
    if state is None:
        if now < last.retry_at:
            return None, last
        return Action("create", name, "the slice is not there"), replace(last, was_active=False)
    if state == "ACTIVE":
        return None, Memory(was_active=True)
    if state == "SUSPENDED":
        waits = last if last.was_active else _after_failure(last, now)
        return Action("delete", name, "it was preempted (SUSPENDED)"), waits
    if state == "FAILED":
        return Action("delete", name, "the request failed (FAILED)"), _after_failure(last, now)
    return None, last  # one of `_WAITING`, or a state that this version does not know


class Keeper:
    """Keeps the slices of one job.

    Args:
      scripts: a local folder for startup scripts, which `gcloud` reads.
      note: takes a line for the record of the job.
      on_state: takes the state of `job_state` and why, when it has changed.
    """

    def __init__(
        self,
        config: LaunchConfig,
        shipment: Shipment,
        *,
        scripts: Path,
        note: Callable[[str], None],
        on_state: Callable[[str, str], None] = lambda state, why: None,
        run: Run = run_command,
    ) -> None:
        self._config = config
        self._shipment = shipment
        self._scripts = scripts
        self._note = note
        self._on_state = on_state
        self._job_state = ""
        self._run = run
        self._memory: dict[str, Memory] = {}
        self._states: Mapping[str, str] = {}
        self._has_created = False
        self._list_troubles = Troubles(note, what="gcloud", reminder_s=EVENT_REMINDER_S)
        self._delete_troubles = Troubles(note, what="deletion", reminder_s=EVENT_REMINDER_S)

    def tick(self, *, is_over: bool, now: float) -> bool:
        """Looks once and acts; returns whether nothing is left of a job that is over.

        Raises:
          UserError: the very first request is refused for what it asks, so that waiting cannot
            help; no machine is left behind.
        """
        machine, job = self._config.machine, self._shipment.job
        done = self._run(tpu_vm.list_command(machine, job), "")
        try:
            observed = tpu_vm.states(done, job)
        except UserError as error:
            self._list_troubles.found([str(error)], now)
            return False
        self._list_troubles.found([], now)
        self._tell(observed)
        names = tpu_vm.resource_names(job, machine)
        state, why = job_state(names, observed)
        if not is_over and state != self._job_state:
            self._job_state = state
            self._on_state(state, why)
        actions, self._memory = decide(names, observed, self._memory, is_over=is_over, now=now)
        deletions = [self._delete(action) for action in actions if action.kind == "delete"]
        self._delete_troubles.found([problem for problem in deletions if problem], now)
        for action in actions:
            if action.kind == "create":
                self._create(action, is_first=not observed and not self._has_created, now=now)
        self._states = observed
        return is_over and not observed

    def _create(self, action: Action, *, is_first: bool, now: float) -> None:
        name = action.name
        script = self._scripts / f"{name}.sh"
        write_text(script, startup_script(self._config, self._shipment, tpu_vm.slice_index(name)))
        command = tpu_vm.create_command(
            self._config.machine, name, job=self._shipment.job, script=str(script)
        )
        done = self._run(command, "")
        kind = tpu_vm.refusal(done) if done.code else "created"
        if kind in ("created", "exists"):
            self._has_created = True
            self._note(f"{name}: requested: {action.why}")
            return
        if kind == "refused" and is_first:
            raise UserError(f"gcloud refuses to create {name}: {done.reason}")
        self._memory[name] = memory = after_refusal(self._memory[name], now)
        wait = memory.retry_at - now
        self._note(f"{name}: not requested ({kind}): {done.reason}; tries again in {wait:.0f} s")

    def _delete(self, action: Action) -> str:
        """Deletes a slice, and returns why that failed, "" if it did not."""
        done = self._run(tpu_vm.delete_command(self._config.machine, action.name), "")
        if done.code:
            return f"{action.name}: not deleted: {done.reason}"
        self._note(f"{action.name}: deleted: {action.why}")
        return ""

    def _tell(self, observed: Mapping[str, str]) -> None:
        """Notes every state that is new."""
        for name, state in observed.items():
            if self._states.get(name) != state:
                unknown = state not in (*_WAITING, "ACTIVE", "SUSPENDED", "FAILED", "DELETING")
                self._note(f"{name}: {state}{' (not known here; waits)' if unknown else ''}")
