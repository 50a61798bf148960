"""Faults that strike a job one after another, and the table of what came of them.

    aim ──→ strike ──→ the attempt ends, by this cause ──→ mend ──→ the next attempt makes steps
                 └───→ no attempt ends (`causes` is empty): `strike` returns what was noticed

Each wait has a deadline: a hang of the job fails the campaign. A line of JSON for each fault is
added to the file `FAULTS_RECORD` of the environment, so that several campaigns make one table:

    python -m tests.campaigns.faults.campaign FILE
"""

import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from codepretrain.launch.events import Event, seconds
from tests.launch.launched import Launched

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "1"))  # of all faults of a test
SEED = int(os.environ.get("FAULT_SEED", "11"))
STEPS = 3000  # a quiet machine makes 50 a second
OPTIONS = [
    f"--config.phases.trunk.tokens={STEPS * 8 * 64}",
    "--config.checkpoint.temporary_interval_s=1.0",
    "--config.checkpoint.permanent_interval_steps=600",
    "--config.evals.validation.interval_steps=600",
    "--config.execution.replay_interval_steps=20",
]
# All programs are kept, so that a restart takes a third of its time.
CACHED = {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
_RECORD = os.environ.get("FAULTS_RECORD")
_STRAY_S = 3.0  # a fault strikes at a random moment of so many seconds of steps


@dataclass(frozen=True)
class Noticed:
    """A fault that ends no attempt: what the job said of it, and how long after."""

    action: str
    detected_s: float


def at_random(job: Launched, rng: random.Random) -> None:
    """Waits for a random moment at which the gang makes steps."""
    job.wait(job.is_stepping, "steps")
    time.sleep(rng.uniform(0, _STRAY_S))


@dataclass(frozen=True)
class Fault:
    """What is done to a job, and the causes by which its attempt may end.

    strike: does it. Returns the host that the end must name, None for any; or what was noticed.
    causes: of the end; empty if no attempt may end. aim: waits for the moment. mend: what a person
    does after the attempt has ended, as far as the job does not go on by itself. is_between: the
    attempt after the current one is the one that it ends. until: what is waited for at the end;
    steps if None.
    """

    name: str
    strike: Callable[[Any, random.Random], int | Noticed | None]
    causes: tuple[str, ...] = ()
    aim: Callable[[Any, random.Random], None] = at_random
    mend: Callable[[Any], None] | None = None
    is_between: bool = False
    until: Callable[[Any], bool] | None = None


@dataclass(frozen=True)
class Struck:
    """What came of one fault; times in seconds from the moment at which it struck."""

    fault: str
    detected_s: float
    action: str
    again_s: float
    lost_steps: int
    load: float  # of the machine


class _Observed:
    """The events of a job from now on, whatever the clocks of its hosts say."""

    def __init__(self, job: Launched) -> None:
        self._job = job
        self._known = {(event["writer"], event["number"]) for event in job.events()}
        self._at_s = time.time()
        self.attempt = next(iter(job.state().live))
        self.step = job.step()

    def find(self, *kinds: str, is_next: bool) -> Event | None:
        """Returns the first new event of some kinds, of this attempt or of a later one."""
        for event in self._job.events():
            is_new = (event["writer"], event["number"]) not in self._known
            is_wanted = is_new and event["event"] in kinds
            if is_wanted and (event["attempt"] != self.attempt) == is_next:
                return event
        return None

    def seconds_s(self) -> float:
        return time.time() - self._at_s

    def seconds_to(self, event: Event) -> float:
        """Returns when an event happened; by this clock, if the one of its host is wrong."""
        now_s = self.seconds_s()
        then_s = seconds(event["time"]) - self._at_s
        return max(then_s, 0.0) if -0.1 <= then_s <= now_s else now_s


def strike(job: Launched, fault: Fault, rng: random.Random) -> Struck:
    """Strikes, and returns when the job makes steps again."""
    fault.aim(job, rng)
    observed = _Observed(job)
    found = fault.strike(job, rng)
    if isinstance(found, Noticed):
        job.wait(job.is_stepping, "steps")
        live = next(iter(job.state().live), None)
        assert live == observed.attempt, (fault.name, live, job.described())
        struck = Struck(
            fault=fault.name,
            detected_s=found.detected_s,
            action=found.action,
            again_s=observed.seconds_s(),
            lost_steps=0,
            load=os.getloadavg()[0],
        )
    else:
        struck = _ended(job, fault, found, observed)
    return note(struck)


def _is_back(job: Launched, ended: str) -> bool:
    return job.is_stepping() and ended not in job.state().live


def note(struck: Struck) -> Struck:
    """Prints what came of a fault, and adds it to the record."""
    print(struck, flush=True)
    if _RECORD:
        with Path(_RECORD).open("a") as record:
            record.write(json.dumps(asdict(struck)) + "\n")
    return struck


def _ended(job: Launched, fault: Fault, host: int | None, observed: _Observed) -> Struck:
    def find(*kinds: str, is_next: bool = fault.is_between) -> Event:
        wanted = f"{fault.name}: event {kinds}"
        return job.wait(lambda: observed.find(*kinds, is_next=is_next), wanted)

    end = find("end")
    assert end["cause"] in fault.causes, (fault.name, end, job.described())
    assert host in (None, end["host"]), (fault.name, host, end, job.described())
    detected_s = observed.seconds_to(find("closing", "end"))
    lost_steps = end["lost_steps"]
    if fault.mend is not None:
        fault.mend(job)
    until = fault.until
    if until is not None:
        job.wait(lambda: until(job), "the next attempt")
    else:
        job.wait(lambda: _is_back(job, end["attempt"]), "steps after the restart")
        live = next(iter(job.state().live.values()))
        resumed, expected = live.resumed_step or 0, live.attempt.expected_step or 0
        assert resumed >= expected or "damage" in fault.causes, (fault.name, live)
        if fault.is_between:
            lost_steps = max(lost_steps, observed.step - resumed)
    where = "" if end["host"] is None else f" of host {end['host']}"
    then = "gang restarted" if fault.mend is None else "FAILED, resumed by command"
    return Struck(
        fault=fault.name,
        detected_s=detected_s,
        action=f"`{end['cause']}`{where}: {then}",
        again_s=observed.seconds_s(),
        lost_steps=lost_steps,
        load=os.getloadavg()[0],
    )


def plan(faults: Sequence[Fault], rng: random.Random) -> list[list[Fault]]:
    """Returns all faults, `ROUNDS` times in other orders, each to strike a job in steps."""
    return [[fault] for _ in range(ROUNDS) for fault in rng.sample(faults, len(faults))]


def has_room(job: Launched) -> bool:
    """Waits for steps; returns whether enough are left for a fault."""
    job.wait(lambda: job.is_stepping() or job.state().is_over, "steps")
    return not job.state().is_over and 0 <= job.step() < 0.7 * STEPS


def table(struck: Iterable[dict[str, Any]]) -> str:
    """Returns medians and maxima by fault, as the rows of a Markdown table."""
    lines = [
        "| fault | times | detected after, s | action | in steps again after, s | steps lost |",
        "|---|---|---|---|---|---|",
    ]
    by_fault: dict[str, list[dict[str, Any]]] = {}
    for one in struck:
        by_fault.setdefault(one["fault"], []).append(one)
    for name, mine in by_fault.items():
        cells = [
            name,
            str(len(mine)),
            _spread([one["detected_s"] for one in mine]),
            "; ".join(sorted({_without_host(one["action"]) for one in mine})),
            _spread([one["again_s"] for one in mine]),
            _spread([float(one["lost_steps"]) for one in mine]),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _without_host(action: str) -> str:
    before, found, after = action.partition("` of host ")
    return f"{before}`{after.lstrip('0123456789')}" if found else action


def _spread(values: list[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.0f}"
    return f"{statistics.median(values):.0f}, at most {max(values):.0f}"


if __name__ == "__main__":
    print(table(map(json.loads, Path(sys.argv[1]).read_text().splitlines())))
