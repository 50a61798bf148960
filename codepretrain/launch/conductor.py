"""The process that decides, for one term: it reads what hosts report, and writes events and orders.

Each round writes in this order, so that a kill between any two writes loses nothing:

    attempts/<id>.json   created; a number whose file exists is never used again
    events               from which the next conductor makes the same orders
    orders.json          which starts and ends workers

Time is UTC at the start of the term, or the time of the newest event if that is later, and then a
clock that is never set: the events of a job never go back in time. What passed between two terms is
what the new conductor saw pass while it waited for the lease, whatever the clocks say
(`new_term.py`).
"""

import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Self

from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.files.atomic import create
from codepretrain.files.hold_errors import LeaseLostError
from codepretrain.files.lease import expiring
from codepretrain.files.object_lease import now_s as steady_s
from codepretrain.launch import record_files
from codepretrain.launch.decide import Decision, decide
from codepretrain.launch.events import (
    Event,
    EventWriter,
    conductor_name,
    counts,
    read_events,
    seconds,
    utc,
)
from codepretrain.launch.fold import fold, fold_events
from codepretrain.launch.job_folder import JobFolder
from codepretrain.launch.records import HostRecord, Orders
from codepretrain.launch.sightings import Sightings, View
from codepretrain.launch.watchdog import StepTimes

TTL_S = 10.0  # of the lease: after the death of a conductor's host another one waits that long
_MAX_ELAPSED_S = 5.0  # of one round; more means that this process was suspended


class Conductor:
    """Decides for a job, in a term of its own. The caller holds the lease.

    Attributes:
      state: of the job, with all events.
    """

    def __init__(
        self,
        folder: JobFolder,
        *,
        host: int | None = None,
        silent_s: float = 0.0,
        check: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = steady_s,
    ) -> None:
        """Begins a term, and reads what has happened so far.

        Args:
          host: where this process runs, None if on no host of the job. silent_s: for how long the
            process of the term before was seen not to renew its lease, 0 if it ended it.
          check: raises if the lease is lost; called before each write.
          clock: UTC in seconds. steady: seconds of a clock that is never set.

        Raises:
          UserError: a file of the job is missing or damaged.
        """
        self._folder, self._check, self._steady = folder, check, steady
        self.job = record_files.read_job_record(folder)
        self._by = f"conductor {secrets.token_hex(8)}"
        self.term = self._begin_term()
        events = read_events(folder.events)
        self.state = fold_events(events)
        self._used = record_files.used_numbers(folder)
        self._sightings = self._new_sightings(events, silent_s)
        self._step_times = StepTimes()
        self._orders: Orders | None = None
        self._read_s = steady()
        newest = max((seconds(event["time"]) for event in events), default=0.0)
        self._offset_s = max(clock(), newest) - steady()
        self._writer = EventWriter(folder.events, conductor_name(self.term))
        begun = {
            "event": "term",
            "time": utc(self._now_s()),
            "term": self.term,
            "host": host,
            "silent_s": round(silent_s, 3),
            "seen": counts(events),
        }
        self.state = fold(self.state, begun)
        try:
            self._writer.append([begun])
        except BaseException:
            self._writer.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def round(self) -> None:
        """Reads, decides and writes once. Does nothing while nothing can be read.

        Raises:
          LeaseLostError: another conductor has begun a later term.
          UserError: something could not be written. Another conductor is to take over.
        """
        view = self._view()
        if view is None:
            return
        decision = self._decided(view)
        if decision.events:
            self._check()
            self._writer.append(decision.events)
        self.state = decision.state
        self._write_orders(replace(decision.orders, term=self.term))

    def _new_sightings(self, events: list[Event], silent_s: float) -> Sightings:
        """Returns sightings that know of the silence of the conductor before.

        Its host has probably been silent for as long. At most half of the heartbeat counts: a host
        that is alive shows itself in the other half.
        """
        heartbeat_s = self.job.launch.watchdog.heartbeat_s
        before = next((e.get("host") for e in reversed(events) if e["event"] == "term"), None)
        known_s = {} if before is None else {before: min(silent_s, heartbeat_s / 2)}
        return Sightings(heartbeat_s, silent_s=known_s)

    def _begin_term(self) -> int:
        """Creates the next term. Of several processes one gets each number."""
        while True:
            names = storage.names(self._folder.conductor)
            terms = [int(name[5:]) for name in names if name.startswith("term-")]
            term = max(terms, default=0) + 1
            self._check()
            if create(self._folder.conductor / f"term-{term:06d}", self._by.encode()):
                return term

    def _now_s(self) -> float:
        return self._steady() + self._offset_s

    def _view(self) -> View | None:
        """Returns what hosts and commands say, None if it cannot be read now.

        Time in which nothing could be read is nobody's silence.
        """
        errors: list[UserError] = []

        def note(_: int, error: UserError) -> None:
            errors.append(error)

        now_s = self._steady()
        elapsed_s, self._read_s = min(now_s - self._read_s, _MAX_ELAPSED_S), now_s
        try:
            records = record_files.read_hosts(self._folder, self.job.hosts, on_error=note)
            requests = record_files.read_requests(self._folder, after=self.state.request)
        except UserError:
            return None
        if errors and not records:
            return None
        self._sightings.update(records, elapsed_s)
        return self._seen(records, requests)

    def _seen(self, records: dict[int, HostRecord], requests: tuple) -> View:
        self._step_times.update(records.values(), self.state.live)
        return View(
            hosts=self._sightings.seen(),
            watched_s=self._sightings.watched_s,
            requests=requests,
            used=self._used,
            median_step_s=self._step_times.medians(),
        )

    def _decided(self, view: View) -> Decision:
        """Returns a decision whose new attempts have files of their own."""
        while True:
            decision = decide(self.state, self.job, view, self._now_s())
            started = [e["attempt"] for e in decision.events if e["event"] == "attempt"]
            if all(self._create(decision, attempt) for attempt in started):
                return decision
            view = replace(view, used=self._used)

    def _create(self, decision: Decision, attempt: str) -> bool:
        record = decision.state.live[attempt].attempt
        self._used[record.stage] = record.number
        self._check()
        return record_files.create_attempt(self._folder, record, by=self._by)

    def _write_orders(self, orders: Orders) -> None:
        """Writes orders that have changed, or that a conductor of an older term has replaced."""
        try:
            there = record_files.read_orders(self._folder)
        except UserError:
            there = None
        if there is not None and there.term > self.term:
            raise LeaseLostError(f"a conductor of term {there.term} has taken over")
        if there == orders and self._orders == orders:
            return
        self._check()
        record_files.write_orders(self._folder, orders, by=self._by)
        self._orders = orders
        self._sightings.wrote_orders()


def conduct(
    folder: JobFolder,
    *,
    wait: Callable[[float], bool],
    host: int | None = None,
    period_s: float = 1.0,
    ttl_s: float = TTL_S,
) -> None:
    """Conducts a job until it is over.

    Args:
      wait: waits for so many seconds, and returns whether this process is to leave.
      host: where this process runs, None if on no host of the job.

    Raises:
      UserError: another process conducts; a file is damaged, or cannot be written.
    """
    with (
        expiring(folder.conductor, ttl_s=ttl_s) as lease,
        Conductor(folder, host=host, silent_s=lease.watched_s, check=lease.check) as conductor,
    ):
        while True:
            conductor.round()
            if conductor.state.is_over or wait(period_s):
                return
