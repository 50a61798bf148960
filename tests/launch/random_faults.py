"""Random jobs, and random faults for the simulator."""

import random
from collections.abc import Callable

from codepretrain.launch.events import counts, merged, utc
from codepretrain.launch.fold import fold_events
from codepretrain.launch.job import Job, Request, Stage
from codepretrain.launch.machine import (
    BudgetConfig,
    LaunchConfig,
    MachineConfig,
    RestartConfig,
    WatchdogConfig,
)
from codepretrain.launch.records import End
from tests.launch.simulated_hosts import Host
from tests.launch.simulator import Fault, World

WATCHDOG = WatchdogConfig(
    heartbeat_s=20,
    init_s=80,
    restore_s=60,
    compile_s=60,
    evaluate_s=60,
    save_s=60,
    step_min_s=30,
    grace_s=15,
)
RESTART = RestartConfig(
    max_failures=6, max_preemptions=50, backoff_s=5, max_backoff_s=40, same_step_limit=3
)
LAST_TICK = 60


def phase(name: str, *parents: str, steps: int = 7, **fields) -> Stage:
    """A stage that trains a phase."""
    return Stage(
        name=f"train.{name}",
        arguments=("train", "--config", "c.py", "--phase", name),
        parents=parents,
        phase=name,
        tokens=steps * 100,
        num_steps=steps,
        batch_size=fields.pop("batch_size", 48),
        **fields,
    )


def single(name: str, *parents: str) -> Stage:
    """A stage of one process."""
    return Stage(name=name, arguments=(name, "--config", "c.py"), parents=parents, is_single=True)


def evaluations(*parents: str) -> Stage:
    """A stage that evaluates on a slice of its own."""
    arguments = ("evaluate", "--config", "c.py", "--watch")
    return Stage(name="evaluate", arguments=arguments, parents=parents, is_evaluation=True)


def job(*stages: Stage, slices: int = 1, hosts: int = 2, **fields) -> Job:
    """A job with short deadlines."""
    machine = MachineConfig(num_slices=slices, hosts=hosts, min_slices=fields.pop("min_slices", 1))
    launch = LaunchConfig(
        machine=machine,
        restart=fields.pop("restart", RESTART),
        watchdog=fields.pop("watchdog", WATCHDOG),
        budget=fields.pop("budget", BudgetConfig()),
    )
    return Job(
        name="j",
        config="c.py",
        workdir="w",
        stages=stages,
        launch=launch,
        hosts_per_slice=hosts,
        **fields,
    )


def random_job(rng: random.Random) -> Job:
    """A chain, a tree, or independent phases, on one to three slices of one or two hosts."""
    trunk = phase("a", steps=rng.choice([4, 7]))
    branches = [phase(n, "train.a", steps=rng.choice([3, 5])) for n in "bc"]
    alone = [phase("d", steps=4)]
    phases = rng.choice([[trunk], [trunk, *branches], [trunk, *branches, *alone]])
    if rng.random() < 0.4:
        phases = [*phases, evaluations()]
    stages = [*phases, single("report", *(stage.name for stage in phases))]
    if rng.random() < 0.3:
        stages = [single("prepare"), *(_after(stage, "prepare") for stage in stages)]
    return job(*stages, slices=rng.choice([1, 1, 2, 3]), hosts=rng.choice([1, 2]))


def _after(stage: Stage, parent: str) -> Stage:
    return Stage(**{**vars(stage), "parents": (*stage.parents, parent)})


def random_faults(rng: random.Random) -> dict[int, list[Fault]]:
    """Up to five faults at random ticks."""
    faults: dict[int, list[Fault]] = {}
    for _ in range(rng.choice([0, 1, 2, 3, 5])):
        make = rng.choice(FAULTS)
        faults.setdefault(rng.randint(2, LAST_TICK), []).append(make(rng))
    return faults


def _some_host(world: World, rng: random.Random) -> Host:
    return world.hosts[rng.choice(sorted(world.hosts))]


def end_worker(code: int, cause: str) -> Callable[[random.Random], Fault]:
    """Ends the worker of one host."""

    def make(rng: random.Random) -> Fault:
        def fault(world: World) -> None:
            worker = _some_host(world, rng).worker
            if worker is not None and worker.end is None:
                worker.end = End(code=code, cause=cause, message="by the test", step=worker.step)

        return fault

    return make


def stick(rng: random.Random) -> Fault:
    """The worker of one host makes no progress any more."""

    def fault(world: World) -> None:
        worker = _some_host(world, rng).worker
        if worker is not None:
            worker.is_stuck = True

    return fault


def sigterm_worker(rng: random.Random) -> Fault:
    """Somebody sends SIGTERM to one worker."""

    def fault(world: World) -> None:
        worker = _some_host(world, rng).worker
        if worker is not None and worker.end is None:
            worker.term_ticks = worker.term_ticks or 0

    return fault


def kill_supervisor(rng: random.Random) -> Fault:
    """With its worker; it is started again at once or a little later."""

    def fault(world: World) -> None:
        world.stop_machine(_some_host(world, rng), rng.choice([1, 1, 2, 4]))

    return fault


def lose_machine(rng: random.Random) -> Fault:
    def fault(world: World) -> None:
        world.stop_machine(_some_host(world, rng), rng.choice([5, 10, 30]))

    return fault


def lose_all(rng: random.Random) -> Fault:
    def fault(world: World) -> None:
        for host in world.hosts.values():
            world.stop_machine(host, rng.choice([3, 8, 20]))
        world.conductor = None

    return fault


def partition(rng: random.Random) -> Fault:
    """One host reaches neither the files nor the other workers."""

    def fault(world: World) -> None:
        _some_host(world, rng).is_partitioned = rng.choice([1, 2, 6, 15])

    return fault


def preempt(rng: random.Random) -> Fault:
    def fault(world: World) -> None:
        host = _some_host(world, rng)
        if host.is_up:
            host.is_preempted, host.away_ticks = True, rng.choice([1, 2, 5])
            if host.worker is not None and host.worker.end is None:
                host.worker.term_ticks = host.worker.term_ticks or 0

    return fault


def kill_conductor(rng: random.Random) -> Fault:
    """At once, or after some of the writes of a later round."""

    def fault(world: World) -> None:
        world.without_conductor = rng.choice([0, 1, 3])
        world.skew_s = rng.choice([0, 0, -3600, 3600])
        if world.conductor is not None and rng.random() < 0.7:
            world.conductor.fails_after = rng.randint(0, 5)
        else:
            world.conductor = None

    return fault


def suspend_conductor(rng: random.Random) -> Fault:
    """It goes on for one round after another one has taken over."""

    def fault(world: World) -> None:
        world.stale, world.conductor = world.conductor, None
        world.skew_s = rng.choice([0, 0, -3600, 3600])
        world.without_conductor = rng.choice([0, 1, 3])

    return fault


def keeper_shows(rng: random.Random) -> Fault:
    """A keeper, whose clock may be wrong, shows of a job that goes on that it waits for slices."""

    def fault(world: World) -> None:
        events = merged(world.journals)
        if fold_events(events).is_over:
            return
        at = world.now_s + rng.choice([0, -3600, 3600, 3600])
        journal = world.journals.setdefault("keeper-1", [])
        told = {"event": "state", "state": rng.choice(["QUEUED", "PROVISIONING"]), "why": "told"}
        known = {"seen": sum(counts(events).values()), "number": len(journal) + 1, "at": at}
        journal.append({**told, **known, "writer": "keeper-1", "time": utc(at)})

    return fault


def lose_checkpoints(rng: random.Random) -> Fault:
    def fault(world: World) -> None:
        world.has_lost_checkpoints = True
        if world.saved:
            world.saved[rng.choice(sorted(world.saved))] = 0

    return fault


def end_badly(cause: str) -> Callable[[random.Random], Fault]:
    """From now on one stage ends with a cause that is never retried."""

    def make(rng: random.Random) -> Fault:
        def fault(world: World) -> None:
            stage = rng.choice(world.job.stages)
            world.bad[stage.name] = cause

        return fault

    return make


def crash_at_step(rng: random.Random) -> Fault:
    def fault(world: World) -> None:
        stages = [stage for stage in world.job.stages if stage.phase]
        stage = rng.choice(stages)
        world.crash_at[stage.name] = rng.randrange(stage.num_steps or 1)

    return fault


def request(kind: str) -> Callable[[random.Random], Fault]:
    def make(rng: random.Random) -> Fault:
        def fault(world: World) -> None:
            world.requests.append(Request(number=len(world.requests) + 1, kind=kind))

        return fault

    return make


FAULTS = (
    end_worker(-9, "crash"),
    end_worker(-9, "out_of_memory"),
    end_worker(-11, "crash"),
    end_worker(1, "crash"),
    stick,
    sigterm_worker,
    kill_supervisor,
    lose_machine,
    lose_all,
    partition,
    preempt,
    preempt,
    kill_conductor,
    kill_conductor,
    suspend_conductor,
    keeper_shows,
    keeper_shows,
    lose_checkpoints,
    end_badly("user_error"),
    end_badly("divergence"),
    crash_at_step,
    request("stop"),
    request("resume"),
)
