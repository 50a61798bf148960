"""The conductor of the simulator: what `conductor.py` does, without files."""

from dataclasses import replace
from typing import Any

from codepretrain.launch.decide import decide
from codepretrain.launch.events import Event, conductor_name, counts, merged, utc
from codepretrain.launch.fold import fold, fold_events
from codepretrain.launch.records import Orders
from codepretrain.launch.sightings import Sightings, View
from codepretrain.launch.states import JobState
from codepretrain.launch.watchdog import StepTimes

TICK_S = 5.0


class Crash(Exception):
    """The conductor is killed while it writes."""


class SimulatedConductor:
    """What `conductor.py` does, in memory. `fails_after`: of its writes in the next round."""

    def __init__(self, world: Any) -> None:
        self.world = world
        world.term += 1
        self.term = world.term
        events = merged(world.journals)
        self.state = fold_events(events)
        self.sightings = Sightings(world.job.launch.watchdog.heartbeat_s)
        self.step_times = StepTimes()
        self.orders: Orders | None = None
        self.used: dict[str, int] = {}
        for attempt in world.attempts.values():
            self.used[attempt.stage] = max(self.used.get(attempt.stage, 0), attempt.number)
        newest = max((e["at"] for e in events), default=0.0)
        self.offset_s = max(world.now_s + world.skew_s, newest) - world.now_s
        self.fails_after: int | None = None
        silent_s = world.unconducted_s
        term = {"event": "term", "time": _utc(self), "silent_s": silent_s, "seen": counts(events)}
        self._append(term)
        self.state = fold(self.state, term)

    def round(self, elapsed_s: float = TICK_S) -> None:
        world = self.world
        self.sightings.update(world.records, elapsed_s)
        self.step_times.update(world.records.values(), self.state.live)
        view = View(
            hosts=self.sightings.seen(),
            watched_s=self.sightings.watched_s,
            requests=tuple(r for r in world.requests if r.number > self.state.request),
            used=self.used,
            median_step_s=self.step_times.medians(),
        )
        while True:
            decision = decide(self.state, world.job, view, world.now_s + self.offset_s)
            started = [e["attempt"] for e in decision.events if e["event"] == "attempt"]
            if all(self._create(decision.state, attempt) for attempt in started):
                break
        for event in decision.events:
            self._append(event)
        self.state = decision.state
        orders = replace(decision.orders, term=self.term)
        if world.orders is not None and world.orders.term > self.term:
            raise Crash
        if world.orders != orders or self.orders != orders:
            self._write()
            world.orders = self.orders = orders
            self.sightings.wrote_orders()

    def _create(self, state: JobState, attempt: str) -> bool:
        record = state.live[attempt].attempt
        self.used[record.stage] = record.number
        self._write()
        if attempt in self.world.attempts:
            return False
        self.world.attempts[attempt] = record
        return True

    def _append(self, event: Event) -> None:
        self._write()
        name = conductor_name(self.term)
        journal = self.world.journals.setdefault(name, [])
        number = len(journal) + 1
        at = self.world.now_s + self.offset_s
        journal.append(
            {**event, "writer": name, "number": number, "at": at, "true_s": self.world.now_s}
        )

    def _write(self) -> None:
        if self.fails_after is not None:
            if self.fails_after == 0:
                raise Crash
            self.fails_after -= 1


def _utc(conductor: SimulatedConductor) -> str:
    return utc(conductor.world.now_s + conductor.offset_s)
