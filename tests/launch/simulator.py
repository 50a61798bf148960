"""Simulated hosts, workers and conductors, with faults: no processes, files or clocks.

A tick is one period of `TICK_S` seconds. In each tick every host runs the cycle of a supervisor
(write its record, read the orders, act) before, after or around the conductor's round, at random.
"""

import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace

from codepretrain.launch.events import Event, merged
from codepretrain.launch.fold import fold_events
from codepretrain.launch.job import Job, Request
from codepretrain.launch.records import Attempt, End, HostRecord, Orders, WorkerReport
from codepretrain.launch.states import JobState
from tests.launch.simulated_conductor import TICK_S, Crash, SimulatedConductor
from tests.launch.simulated_hosts import Gang, Host, Worker

SAVE_EVERY = 3  # steps
GRACE_TICKS = 3
_ACTIVITIES = ("init", "restore", "compile")
_DETECTION_TICKS = 2  # until a worker notices that another one is gone


Fault = Callable[["World"], None]


class World:
    """Everything outside the conductor.

    Attributes:
      saved: newest checkpoint by stage. done: stages whose phases are complete.
      crash_at: stage → step at which every attempt crashes. bad: stage → cause of its first end.
      is_lenient: supervisors kill only what is named in `killing`. stalls: the chance that a host
      takes some ticks between reading the orders and acting on them. flaky: the chance that a
      worker dies as it starts. evaluates: whether evaluations get on; evaluation_crashes_at: how
      long after their start they crash, in ticks.
      problems: broken invariants that were seen while running.
    """

    def __init__(self, job: Job, *, seed: int, faults: Mapping[int, list[Fault]]) -> None:
        self.job = job
        self.rng = random.Random(seed)
        self.faults = faults
        self.hosts = {number: Host(number) for number in job.hosts}
        self.records: dict[int, HostRecord] = {}
        self.orders: Orders | None = None
        self.attempts: dict[str, Attempt] = {}
        self.journals: dict[str, list[Event]] = {}
        self.requests: list[Request] = []
        self.gangs: dict[str, Gang] = {}
        self.saved: dict[str, int] = {}
        self.done: set[str] = set()
        self.crash_at: dict[str, int] = {}
        self.bad: dict[str, str] = {}
        self.now_s = 1_000_000.0
        self.skew_s = 0.0
        self.term = 0
        self.tick = 0
        self.problems: list[str] = []
        self.has_lost_checkpoints = False
        self.is_lenient = False
        self.stalls = 0.0
        self.flaky = 0.0
        self.without_conductor = 0
        self.unconducted_s = 0.0
        self.evaluates = True
        self.evaluation_crashes_at: int | None = None
        self.conductor: SimulatedConductor | None = None
        self.stale: SimulatedConductor | None = None

    def run(self, max_ticks: int) -> JobState:
        """Runs until the job is over and no fault is to come, or for `max_ticks`."""
        last_fault = max(self.faults, default=0)
        while self.tick < max_ticks:
            self.tick += 1
            self.now_s += TICK_S
            for fault in self.faults.get(self.tick, []):
                fault(self)
            self._conduct_and_cycle()
            self._advance_machines()
            for gang in list(self.gangs.values()):
                self._advance(gang)
            self._check()
            is_over = self.conductor is not None and self.conductor.state.is_over
            if is_over and self.tick > last_fault:
                break
        return fold_events(merged(self.journals))

    # Conductors and supervisors.

    def _conduct_and_cycle(self) -> None:
        for host in self.hosts.values():
            if host.stall_ticks:
                host.stall_ticks -= 1
                if not host.stall_ticks:
                    self._act(host)
        order = {n: self.rng.random() for n, host in self.hosts.items() if not host.stall_ticks}
        for number, when in order.items():
            if when < 0.8:
                self._write_and_read(self.hosts[number])
            if when < 0.4:
                self._act(self.hosts[number])
        self._conduct()
        for number, when in order.items():
            if when >= 0.8:
                self._write_and_read(self.hosts[number])
            if self.stalls and self.rng.random() < self.stalls:
                self.hosts[number].stall_ticks = self.rng.choice([1, 2, 3])
            elif when >= 0.4:
                self._act(self.hosts[number])

    def _conduct(self) -> None:
        if self.conductor is None:
            self.unconducted_s += TICK_S
            self.without_conductor -= 1
            if self.without_conductor > 0 or not any(
                self._is_alive(h) for h in self.hosts.values()
            ):
                return
            self.conductor = SimulatedConductor(self)
            self.unconducted_s = 0.0
            if self.stale is not None:  # it decides once more before the next one has
                with suppress(Crash):
                    self.stale.round()
                self.stale = None
                return
        self.unconducted_s = 0.0
        try:
            self.conductor.round()
        except Crash:
            self.conductor = None

    def _is_alive(self, host: Host) -> bool:
        return host.is_up and not host.is_partitioned

    def _write_and_read(self, host: Host) -> None:
        if not self._is_alive(host):
            host.orders = None
            return
        host.beat += 1
        self.records[host.number] = self._record(host)
        orders = self.orders
        if orders is not None and orders.term >= host.term:
            host.term = orders.term
            host.orders = orders
        else:
            host.orders = None

    def _record(self, host: Host) -> HostRecord:
        worker = host.worker
        report = None
        if worker is not None and worker.joined:
            report = WorkerReport(
                activity=worker.activity,
                step=worker.step,
                counter=worker.counter,
                idle_s=worker.idle_s,
                resumed_step=worker.resumed_step,
                saved_step=worker.saved_step,
                step_s=TICK_S,
                facts={"evaluated": worker.num_evaluated} if worker.num_evaluated else {},
            )
        return HostRecord(
            host=host.number,
            boot=f"boot-{host.boot}",
            beat=host.beat,
            address=f"10.0.0.{host.number}:{1000 + host.beat}",
            attempt=host.attempt,
            is_running=worker is not None and worker.end is None,
            is_preempted=host.is_preempted,
            report=report,
            end=None if worker is None else worker.end,
        )

    def _act(self, host: Host) -> None:
        orders = host.orders
        if orders is None or not self._is_alive(host):
            return
        worker = host.worker if host.worker is not None and host.worker.end is None else None
        running = {a.id: a for a in orders.running if host.number in a.hosts}
        if worker is not None:
            name = worker.attempt.id
            is_foreign = name not in running and name not in orders.ending
            if name in orders.killing or (is_foreign and not self.is_lenient):
                self._end(worker, End(code=-9, cause="stopped", is_cascade=True, message="killed"))
            elif name in orders.ending and worker.term_ticks is None:
                worker.term_ticks = 0
            return
        for name, attempt in running.items():
            if name not in host.ran and name != host.attempt and not host.is_preempted:
                if self.attempts.get(name) != attempt:
                    self.problems.append(f"{name} has no file")
                host.attempt = name
                host.ran.add(name)
                host.worker = Worker(attempt)
                gang = self.gangs.setdefault(name, Gang(attempt))
                if host.number in gang.workers:
                    self.problems.append(f"{name} was started twice on host {host.number}")
                gang.workers[host.number] = host.worker
                if self.flaky and self.rng.random() < self.flaky:
                    self._end(host.worker, End(code=-11, cause="crash", message="flaky"))
                return

    def _end(self, worker: Worker, end: End) -> None:
        worker.end = replace(end, step=worker.step)

    # Machines.

    def _advance_machines(self) -> None:
        for host in self.hosts.values():
            if host.is_partitioned:
                host.is_partitioned -= 1
            if not host.is_up:
                host.down_ticks -= 1
                if host.down_ticks <= 0:
                    self._boot(host)
            elif host.is_preempted:
                worker = host.worker
                host.away_ticks -= 1
                if worker is None or worker.end is not None or host.away_ticks <= 0:
                    self._leave(host)

    def _boot(self, host: Host) -> None:
        host.is_up, host.is_preempted = True, False
        host.boot += 1
        host.worker, host.orders, host.term, host.ran = None, None, 0, set()

    def _leave(self, host: Host) -> None:
        """A preempted machine writes its last record and is gone."""
        if host.worker is not None and host.worker.end is None:
            self._end(host.worker, End(code=-9, cause="preemption", message="killed at the end"))
        if not host.is_partitioned:
            host.beat += 1
            self.records[host.number] = self._record(host)
        self.stop_machine(host, self.rng.choice([3, 8, 20]))

    def stop_machine(self, host: Host, ticks: float) -> None:
        """The machine is gone at once, and back after so many ticks."""
        if host.worker is not None and host.worker.end is None:
            host.worker.end = End(code=-9, cause="crash")
        host.is_up, host.down_ticks = False, ticks

    # Workers.

    def _advance(self, gang: Gang) -> None:
        workers = gang.running()
        if not workers:
            return
        dead = [w for w in gang.workers.values() if w.end is not None]
        hosts = [self.hosts[number] for number in gang.attempt.hosts]
        is_cut = len(hosts) > 1 and any(h.is_partitioned or not h.is_up for h in hosts)
        if is_cut or any(worker.end.cause != "done" for worker in dead):
            self._break(gang, workers)
        elif len(gang.workers) == len(hosts) and not any(w.is_stuck for w in workers.values()):
            self._progress(gang, workers)
            return
        for worker in workers.values():
            worker.idle_s += TICK_S
        self._terminate(workers)

    def _break(self, gang: Gang, workers: Mapping[int, Worker]) -> None:
        """The workers that can notice that another one is gone end with it."""
        gang.broken_ticks += 1
        if gang.broken_ticks >= _DETECTION_TICKS + self.rng.randrange(3):
            for number, worker in workers.items():
                if not worker.is_stuck and self.rng.random() < 0.7:
                    code = self.rng.choice([3, -6, 1])
                    cause = "lost_host" if code == 3 else "crash"
                    end = End(code=code, cause=cause, is_cascade=code != -6, message="peer lost")
                    self._end(self.hosts[number].worker or worker, end)

    def _terminate(self, workers: Mapping[int, Worker]) -> None:
        """Workers that got SIGTERM and cannot save are killed after the grace period."""
        for worker in workers.values():
            if worker.term_ticks is not None:
                worker.term_ticks += 1
                if worker.term_ticks > GRACE_TICKS:
                    end = End(code=-9, cause="stopped", is_cascade=True, message="killed")
                    self._end(worker, end)

    def _progress(self, gang: Gang, workers: Mapping[int, Worker]) -> None:
        stage = self.job.by_name[gang.attempt.stage]
        for worker in workers.values():
            worker.joined, worker.idle_s = True, 0.0
            worker.counter += 1
        if any(worker.term_ticks is not None for worker in workers.values()):
            self._save_and_stop(gang, workers)
            return
        gang.position += 1
        if stage.name in self.bad:
            cause = self.bad[stage.name]
            if cause == "user_error" or gang.step > 1:
                self._fail(workers, End(code=2, cause=cause, message=f"{cause} of the test"))
                return
        if stage.is_evaluation:
            self._evaluate(gang, workers)
            return
        if gang.position < len(_ACTIVITIES) and not stage.is_single:
            for worker in workers.values():
                worker.activity = _ACTIVITIES[gang.position]
            if gang.position == 1:
                gang.step = self.saved.get(stage.name, 0)
                self._check_lost_work(stage.name, gang.step)
                for worker in workers.values():
                    worker.resumed_step = worker.step = gang.step
            return
        self._train(gang, workers, stage.num_steps or 2)

    def _evaluate(self, gang: Gang, workers: Mapping[int, Worker]) -> None:
        """Ends when all phases are trained."""
        if gang.position == self.evaluation_crashes_at:
            self._fail(workers, End(code=1, cause="crash", message="crash of the test"))
            return
        for worker in workers.values():
            worker.activity = "watch"
            worker.num_evaluated = gang.position - len(_ACTIVITIES) if self.evaluates else 0
        if {stage.name for stage in self.job.stages if stage.phase is not None} <= self.done:
            self.done.add(gang.attempt.stage)
            for worker in workers.values():
                self._end(worker, End(code=0, cause="done"))

    def _train(self, gang: Gang, workers: Mapping[int, Worker], num_steps: int) -> None:
        stage = gang.attempt.stage
        if gang.save_ticks:
            gang.save_ticks -= 1
            if not gang.save_ticks:
                self._commit(gang, workers)
            return
        if gang.step >= num_steps:
            self.done.add(stage)
            for worker in workers.values():
                if self.rng.random() < 0.6:  # some are a little later
                    self._end(worker, End(code=0, cause="done"))
            return
        if self.crash_at.get(stage) == gang.step:
            self._fail(workers, End(code=1, cause="crash", message="crash of the test"))
            return
        gang.step += 1
        for worker in workers.values():
            worker.step, worker.activity = gang.step, "train"
        if gang.step % SAVE_EVERY == 0 or gang.step == num_steps:
            gang.save_ticks = self.rng.choice([1, 2])
            for worker in workers.values():
                worker.activity = "save"

    def _commit(self, gang: Gang, workers: Mapping[int, Worker]) -> None:
        self.saved[gang.attempt.stage] = gang.step
        for worker in workers.values():
            worker.saved_step, worker.activity = gang.step, "train"

    def _save_and_stop(self, gang: Gang, workers: Mapping[int, Worker]) -> None:
        """SIGTERM reaches all workers through the first one; they save and end."""
        if gang.position >= len(_ACTIVITIES) and not gang.save_ticks:
            self._commit(gang, workers)
        for number, worker in workers.items():
            is_preempted = self.hosts[number].is_preempted
            cause = "preemption" if is_preempted else "stopped"
            if gang.position < len(_ACTIVITIES) or not gang.save_ticks:
                self._end(worker, End(code=143, cause=cause, message="stopped"))
        if gang.save_ticks:
            gang.save_ticks -= 1
            if not gang.save_ticks:
                self._commit(gang, workers)

    def _fail(self, workers: Mapping[int, Worker], end: End) -> None:
        first = self.rng.choice(sorted(workers))
        self._end(workers[first], end)
        for number, worker in workers.items():
            if number != first and self.rng.random() < 0.7:
                cascade = End(code=end.code, cause=end.cause, is_cascade=True, message="told")
                self._end(worker, cascade)

    # Invariants.

    def _check(self) -> None:
        """Two gangs of one stage never run on hosts that can be reached."""
        running: dict[str, set[str]] = {}
        for host in self.hosts.values():
            worker = host.worker
            if worker is None or worker.end is not None or not self._is_alive(host):
                continue
            if self._was_lost(host):
                continue
            running.setdefault(worker.attempt.stage, set()).add(worker.attempt.id)
        for stage, names in running.items():
            if len(names) > 1:
                self.problems.append(f"tick {self.tick}: {sorted(names)} of {stage} run at once")

    def _check_lost_work(self, stage: str, resumed: int) -> None:
        """No gang had made more steps since the newest checkpoint than there are between two."""
        steps = [gang.step for gang in self.gangs.values() if gang.attempt.stage == stage]
        lost = max(steps, default=0) - resumed
        if lost > SAVE_EVERY and not self.has_lost_checkpoints:
            self.problems.append(f"{stage} resumed from {resumed}, {lost} steps are lost")

    def _was_lost(self, host: Host) -> bool:
        """Its partition lasted long enough for the conductor to give it up."""
        seen = None if self.conductor is None else self.conductor.sightings.seen().get(host.number)
        if seen is None:
            return False
        name = host.worker.attempt.id
        lost = [e for j in self.journals.values() for e in j if e["event"] == "lost_host"]
        return any(e["host"] == host.number and e["attempt"] == name for e in lost)
