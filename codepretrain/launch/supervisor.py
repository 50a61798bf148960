"""The supervisor of one host: starts the workers that the orders name, watches them, ends them.

    every period     writes hosts/<host>.json, reads orders.json       (`exchange.py`, a thread)
    every tick       obeys the newest orders and signals; reads the worker's pipe; notices its end

One order of things holds in every period: the record is written, then the orders are read, then
they are obeyed. The conductor relies on it (`sightings.py`).

A worker is started once per attempt, if the file of the attempt confirms the orders. Attempts that
are in the orders when a supervisor starts were given to an earlier one: their workers have ended
with it, and are not started again. A supervisor that was suspended obeys nothing that it read
before, and reads the orders before it reports.

A storage that fails ends no worker. A worker ends when its attempt is over: when newer orders name
it among those to be killed, or no longer at all.
"""

import secrets
import select
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from codepretrain.errors import UserError
from codepretrain.files.hold_errors import InUseError
from codepretrain.files.object_lease import now_s as steady_s
from codepretrain.launch.exchange import Answer, Exchange
from codepretrain.launch.host_address import HostAddress
from codepretrain.launch.job import Job
from codepretrain.launch.job_folder import JobFolder
from codepretrain.launch.log_copies import LogCopies
from codepretrain.launch.records import Attempt, End, HostRecord
from codepretrain.launch.troubles import Troubles
from codepretrain.launch.worker import Worker
from codepretrain.launch.worker_start import Settings, WorkerStarter

STALL_S = 5.0  # between two ticks: this process was suspended
_LAST_S = 5.0  # for the last record and the last logs
_NOT_STARTED = -1


class Supervisor:
    """Supervises one host until the job is over or a signal comes.

    Args:
      check: raises InUseError if another supervisor has taken the host over.
      signal_number: returns the number of the stop signal that came, 0 before.
      note: takes a line for the supervisor's output.

    Attributes:
      is_over: the job needs this host no more.
    """

    def __init__(
        self,
        folder: JobFolder,
        job: Job,
        settings: Settings,
        *,
        check: Callable[[], None],
        signal_number: Callable[[], int],
        note: Callable[[str], None],
        now_s: Callable[[], float] = steady_s,
    ) -> None:
        self._settings, self._signal_number = settings, signal_number
        self._note, self._now_s = note, now_s
        self._grace_s = job.launch.watchdog.grace_s
        self._troubles = Troubles(note)
        self._exchange = Exchange(folder, settings.host, check=check, now_s=now_s)
        self._logs = LogCopies(note=note)
        self._starter = WorkerStarter(
            folder, job, settings, logs=self._logs, note=note, now_s=now_s
        )
        self._worker: Worker | None = None
        self._known: set[str] = set()  # attempts that are not to be started, or not again
        self._first_orders: tuple[int, bool] | None = None  # term, is_over
        self._term = 0
        self._needs_orders = True  # before the next record
        self._suspended_s = self._ticked_s = self._due_s = now_s()
        self._leaves_by_s: float | None = None
        self._last_beat: int | None = None
        self.is_over = False
        self._address = HostAddress(is_local=job.launch.machine.kind == "local")
        self._record = HostRecord(
            host=settings.host, boot=secrets.token_hex(8), beat=0, address=self._address.address
        )

    def run(self) -> None:
        """Runs until the job is over, or a signal has come and the worker has ended.

        Raises:
          InUseError: another supervisor has taken this host over.
        """
        try:
            while not self._is_done():
                self._tick()
                self._wait()
        finally:
            if self._worker is not None:
                self._worker.close()
            self._exchange.close()
            self._logs.close(_LAST_S)
            self._address.close()

    def _tick(self) -> None:
        now_s = self._now_s()
        if now_s - self._ticked_s > STALL_S:
            self._note(f"was suspended for {now_s - self._ticked_s:.0f} s: reads the orders first")
            self._suspended_s, self._needs_orders, self._due_s = now_s, True, now_s
        self._ticked_s = now_s
        self._obey_signal()
        self._watch()
        answer = self._exchange.answer()
        if answer is not None and answer.asked_s >= self._suspended_s:
            self._obey(answer)
        if not self._exchange.is_busy and now_s >= self._due_s:
            self._report()
        elif self._exchange.is_busy:
            self._troubles.waits("the storage has not answered", now_s - self._exchange.asked_s)

    def _wait(self) -> None:
        worker = self._worker
        if worker is None or not worker.reader.is_open:
            time.sleep(self._settings.tick_s)
            return
        pipe = select.poll()
        pipe.register(worker.reader.descriptor, select.POLLIN)
        pipe.poll(1000 * self._settings.tick_s)

    # Signals and orders

    def _obey_signal(self) -> None:
        if self._leaves_by_s is not None or not self._signal_number():
            return
        self._note("was told to leave: its worker is to save and end")
        # What is left of the time that the machine grants is for the last record.
        grace_s = self._grace_s - min(_LAST_S, 0.2 * self._grace_s)
        self._leaves_by_s = self._now_s() + self._grace_s
        self._record = replace(self._record, is_preempted=True)
        self._due_s = self._now_s()
        if self._worker is not None:
            self._worker.end(grace_s)

    def _obey(self, answer: Answer) -> None:
        """Obeys orders, unless an older conductor gave them."""
        if answer.is_taken:
            raise InUseError(f"host {self._settings.host}: {answer.problems[0]}")
        self._troubles.found(answer.problems, self._now_s())
        if not answer.has_orders:
            return
        if self._needs_orders:
            self._needs_orders, self._due_s = False, self._now_s()
        orders = answer.orders
        if self._first_orders is None:
            self._first_orders = (0, False) if orders is None else (orders.term, orders.is_over)
            self._known |= {attempt.id for attempt in orders.running} if orders else set()
        if orders is None or orders.term < self._term:
            return
        self._term = orders.term
        self._known |= {*orders.ending, *orders.killing}
        # Orders that were there before may be those of a job that is being resumed.
        self.is_over = orders.is_over and self._first_orders != (orders.term, True)
        self._end_worker(orders.ending, orders.killing, {a.id for a in orders.running})
        for attempt in orders.running:
            if self._is_to_start(attempt, answer):
                self._start(attempt)

    def _end_worker(self, ending: Sequence[str], killing: Sequence[str], running: set[str]) -> None:
        worker = self._worker
        if worker is None or worker.attempt.id in running:
            return
        if worker.attempt.id in ending:
            worker.end(self._grace_s)
            return
        if worker.attempt.id not in killing and not worker.is_to_be_killed:
            self._note(f"{worker.attempt.id} is over: kills its worker")
        worker.kill()

    def _is_to_start(self, attempt: Attempt, answer: Answer) -> bool:
        if self._settings.host not in attempt.hosts or attempt.id in self._known:
            return False
        is_old = self._now_s() - answer.asked_s > STALL_S  # the next ones say whether it goes on
        if self._worker is not None or self._leaves_by_s is not None or is_old:
            return False
        if attempt.id in answer.refused:
            self._note(f"does not start {attempt.id}: {answer.refused[attempt.id]}")
            self._known.add(attempt.id)
        return attempt.id in answer.confirmed

    # The worker

    def _start(self, attempt: Attempt) -> None:
        self._known.add(attempt.id)
        self._due_s = self._now_s()
        self._record = replace(self._record, attempt=attempt.id, report=None, end=None)
        try:
            self._worker = self._starter.start(attempt)
        except (OSError, UserError) as error:
            message = f"cannot start the worker: {error}"
            end = End(code=_NOT_STARTED, cause="crash", message=message)
            self._record = replace(self._record, end=end)
            self._note(f"{attempt.id}: {message}")

    def _watch(self) -> None:
        worker = self._worker
        if worker is None:
            return
        code = worker.tick()
        self._record = replace(self._record, report=worker.report)
        if code is None:
            return
        end = worker.how_it_ended(code, is_preempted=self._record.is_preempted)
        self._worker = None
        self._record = replace(self._record, end=end)
        self._address.renew()
        self._logs.finish()
        self._due_s = self._now_s()
        self._note(f"{worker.attempt.id}: ended with {code}: {end.cause}: {end.message}")

    # Records

    def _report(self) -> None:
        """Writes the next record, or only reads the orders where they must be known before."""
        self._due_s = self._now_s() + self._settings.period_s
        if self._needs_orders:
            self._exchange.ask(None)
            return
        self._record = replace(
            self._record,
            beat=self._record.beat + 1,
            address=self._address.address,
            is_running=self._worker is not None,
        )
        if self._may_leave() and self._last_beat is None:
            self._last_beat = self._record.beat
        self._exchange.ask(self._record)

    def _may_leave(self) -> bool:
        return self._worker is None and (self.is_over or self._leaves_by_s is not None)

    def _is_done(self) -> bool:
        """Returns whether the last record is written, or there is no time left for it."""
        if not self._may_leave():
            return False
        if self._leaves_by_s is not None and self._now_s() >= self._leaves_by_s:
            return True
        return self._last_beat is not None and not self._exchange.is_busy
