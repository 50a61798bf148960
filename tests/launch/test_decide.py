"""Decisions, on thousands of random schedules of faults and on single ones."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from codepretrain.launch.events import Event, merged, seconds
from codepretrain.launch.fold import FAILURES, NEVER_RETRIED
from codepretrain.launch.job import Request
from codepretrain.launch.machine import BudgetConfig, RestartConfig
from codepretrain.launch.states import OVER, JobState
from tests.launch import random_faults
from tests.launch.random_faults import job, phase, random_job, request, single
from tests.launch.simulated_conductor import TICK_S
from tests.launch.simulator import Fault, World

MAX_TICKS = 900


def run(world: World, max_ticks: int = MAX_TICKS) -> tuple[JobState, list[Event]]:
    state = world.run(max_ticks)
    return state, merged(world.journals)


def of_kind(events: list[Event], kind: str) -> list[Event]:
    return [event for event in events if event["event"] == kind]


def causes(events: list[Event]) -> list[str]:
    return [event["cause"] for event in of_kind(events, "end")]


def check(world: World, state: JobState, events: list[Event]) -> None:
    """What holds after every schedule."""
    assert world.problems == []
    assert state.state in OVER
    names = {stage.name for stage in world.job.stages}
    assert (state.state == "DONE") == all(state.stage(name).state == "DONE" for name in names)
    assert state.state != "DONE" or world.done == names
    if world.conductor is not None:
        assert world.conductor.state == state
    assert state.live == {}
    for name in names:
        _check_stage([e for e in events if e.get("stage") == name or e["event"] == "request"])
    _check_seconds(events)
    for resumed in of_kind(events, "resumed"):
        is_early = resumed["expected"] is not None and resumed["step"] < resumed["expected"]
        ends = [e["cause"] for e in of_kind(events, "end") if e["attempt"] == resumed["attempt"]]
        assert (ends == ["damage"]) == is_early


def _check_stage(events: list[Event]) -> None:
    """Every restart has an end with a cause before it, and what is final is not tried again."""
    last: Event = {"event": "none"}
    numbers: list[int] = []
    for event in events:
        if event["event"] == "attempt":
            assert last["event"] in ("none", "end", "resume")
            assert last.get("cause") not in (*NEVER_RETRIED, "done")
            numbers.append(event["record"]["number"])
        if event["event"] == "end":
            assert event["attempt"] == last["attempt"]
            assert event["cause"] == "done" or event["message"]
        if event["event"] in ("attempt", "end"):
            last = event
        elif event["event"] == "request" and event["request"] == "resume" and numbers:
            last = {"event": "resume"} if last["event"] == "end" and _is_open(last) else last
    assert numbers == sorted(set(numbers))


def _check_seconds(events: list[Event]) -> None:
    """What an attempt is charged for has passed, whatever clocks say; a takeover may lose some."""
    for start in of_kind(events, "attempt"):
        name, since = start["attempt"], events.index(start)
        own = [e for e in events[since:] if e.get("attempt") == name]
        charged = sum(e["seconds"] for e in of_kind(own, "chip_hours"))
        [end] = of_kind(own, "end")
        true_s = end["true_s"] - start["true_s"]
        num_terms = len(of_kind(events[since : events.index(end)], "term"))
        assert charged <= true_s + 0.01, (name, charged, true_s)
        assert charged >= true_s - num_terms * (60 + 2 * TICK_S) - 0.01, (name, charged, true_s)


def _is_open(end: Event) -> bool:
    return end["cause"] != "done"


@pytest.mark.parametrize("block", range(20))
def test_random_schedules(block: int) -> None:
    for seed in range(100 * block, 100 * block + 100):
        rng = random.Random(seed)
        world = World(random_job(rng), seed=seed, faults=random_faults.random_faults(rng))
        world.is_lenient = rng.random() < 0.5
        world.stalls = rng.choice([0.0, 0.1, 0.3])
        world.flaky = rng.choice([0.0, 0.0, 0.2])
        state, events = run(world)
        try:
            check(world, state, events)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error


def test_conductors_that_go_on_after_another_one_has_taken_over() -> None:
    """What they order in the meantime may still be carried out, by hosts that are slow."""
    for seed in range(100):
        rng = random.Random(seed)
        ticks = [rng.randint(3, 40) for _ in range(6)]
        faults = {tick: [random_faults.suspend_conductor(rng)] for tick in ticks}
        world = World(job(phase("a"), hosts=2), seed=seed, faults=faults)
        world.stalls, world.flaky, world.is_lenient = 0.3, 0.4, rng.random() < 0.5
        state, events = run(world)
        try:
            check(world, state, events)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error


# Fault → the causes of the attempts that it ends.
SINGLE = {
    "kill -9 of a worker": (random_faults.end_worker(-9, "crash"), {"crash"}),
    "out of memory": (random_faults.end_worker(-9, "out_of_memory"), {"out_of_memory"}),
    "segmentation fault": (random_faults.end_worker(-11, "crash"), {"crash"}),
    "error": (random_faults.end_worker(1, "crash"), {"crash"}),
    "stuck": (random_faults.stick, {"hang"}),
    "SIGTERM": (random_faults.sigterm_worker, {"preemption"}),
    "supervisor": (random_faults.kill_supervisor, {"lost_host"}),
    "machine": (random_faults.lose_machine, {"lost_host"}),
    "all machines": (random_faults.lose_all, {"lost_host"}),
    "partition": (random_faults.partition, {"lost_host", "crash"}),
    "preemption": (random_faults.preempt, {"preemption"}),
    "conductor": (random_faults.kill_conductor, set()),
    "suspended conductor": (random_faults.suspend_conductor, set()),
}


@pytest.mark.parametrize("name", SINGLE)
def test_one_fault(name: str) -> None:
    make, expected = SINGLE[name]
    found: Counter[str] = Counter()
    for seed in range(40):
        rng = random.Random(seed)
        faults = {rng.randint(8, 16): [make(rng)]}
        plan = job(phase("a"), single("report", "train.a"), hosts=rng.choice([1, 2, 3]))
        world = World(plan, seed=seed, faults=faults)
        state, events = run(world)
        check(world, state, events)
        assert state.state == "DONE", seed
        ended = [cause for cause in causes(events) if cause != "done"]
        assert set(ended) <= expected, (seed, ended)
        assert len(ended) <= 1 or name == "all machines", (seed, ended)
        found.update(ended)
        stage = state.stage("train.a")
        assert stage.preemptions == ended.count("preemption")
    assert set(found) >= expected - {"crash"} or not expected
    assert sum(found.values()) >= (12 if name == "partition" else 30) or not expected, found


def one(plan, *faults: tuple[int, Fault], seed: int = 0) -> tuple[World, JobState, list[Event]]:
    by_tick: dict[int, list[Fault]] = {}
    for tick, fault in faults:
        by_tick.setdefault(tick, []).append(fault)
    world = World(plan, seed=seed, faults=by_tick)
    state, events = run(world)
    check(world, state, events)
    return world, state, events


def set_world(**fields) -> Fault:
    def fault(world: World) -> None:
        for name, value in fields.items():
            setattr(world, name, value)

    return fault


def made(make: Callable[[random.Random], Fault], seed: int = 0) -> Fault:
    return make(random.Random(seed))


def test_a_study_without_faults() -> None:
    plan = job(single("prepare"), phase("a", "prepare"), single("report", "train.a"))
    _, state, events = one(plan)
    assert state.state == "DONE"
    assert causes(events) == ["done"] * 3
    states = [e["state"] for e in of_kind(events, "state")]
    assert states == ["QUEUED", "PROVISIONING", "STARTING", "RUNNING", "DONE"]
    attempts = [e["record"] for e in of_kind(events, "attempt")]
    assert [a["hosts"] for a in attempts] == [[0], [0, 1], [0]]
    assert [a["coordinator"] is None for a in attempts] == [True, False, True]


def test_a_user_error_is_tried_once() -> None:
    _, state, events = one(job(phase("a")), (1, set_world(bad={"train.a": "user_error"})))
    assert state.state == "FAILED"
    assert causes(events) == ["user_error"]
    assert state.why.startswith("train.a: host ")
    advice = "To change the study, submit it again. To resume, run: codepretrain launch resume j"
    assert state.why.endswith(f"{advice} --workdir w")


def test_other_branches_go_on_after_a_failure() -> None:
    plan = job(
        phase("a"), phase("b", "train.a"), phase("c"), single("report", "train.a", "train.c")
    )
    _, state, _ = one(plan, (1, set_world(bad={"train.a": "divergence"})))
    assert state.state == "FAILED"
    found = {name: stage.state for name, stage in state.stages.items()}
    assert found == {"train.a": "FAILED", "train.c": "DONE"}
    assert "done and kept: train.c" in state.why


def test_the_same_step_again_and_again() -> None:
    _, state, events = one(job(phase("a")), (1, set_world(crash_at={"train.a": 4})))
    assert state.state == "FAILED"
    assert causes(events) == ["crash"] * 3
    command = "codepretrain show-batch --config c.py --workdir w --phase a --step 4"
    assert "failed 3 times in a row at step 4" in state.why
    assert command in state.why


def test_an_older_checkpoint_than_expected_is_damage() -> None:
    lost = made(random_faults.lose_checkpoints)
    kill = made(random_faults.end_worker(-9, "crash"))
    _, state, events = one(job(phase("a")), (16, lost), (16, kill))
    assert state.state == "FAILED"
    assert causes(events) == ["crash", "damage"]
    assert "resumed from step 0, expected step 3" in state.why


def test_an_accepted_loss_is_accepted_once() -> None:
    """Attempts after the next checkpoint may not train lost steps again in silence."""

    def resume(world: World) -> None:
        world.requests.append(Request(number=1, kind="resume", retrain_lost=True))

    lost = made(random_faults.lose_checkpoints)
    kill = made(random_faults.end_worker(-9, "crash"))
    plan = job(phase("a", steps=20))
    _, state, events = one(plan, (16, lost), (16, kill), (60, resume), (80, kill))
    assert state.state == "DONE"
    assert causes(events) == ["crash", "damage", "crash", "done"]
    attempts = of_kind(events, "attempt")
    accepts = ["--retrain-lost" in attempt["record"]["arguments"] for attempt in attempts]
    assert accepts == [False, False, True, False]


def test_stop_saves_and_resume_goes_on() -> None:
    plan = job(phase("a"))
    _, state, events = one(plan, (11, made(request("stop"))), (40, made(request("resume"))))
    assert state.state == "DONE"
    assert causes(events) == ["stopped", "done"]
    states = [e["state"] for e in of_kind(events, "state")]
    assert states[4:] == ["STOPPED", "QUEUED", "PROVISIONING", "STARTING", "RUNNING", "DONE"]
    resumed = of_kind(events, "resumed")[-1]
    assert resumed["step"] == resumed["expected"] > 0


def test_a_missing_host_is_named() -> None:
    def gone(world: World) -> None:
        world.hosts[1].is_up, world.hosts[1].down_ticks = False, 30

    _, state, events = one(job(phase("a"), hosts=3), (1, gone))
    assert state.state == "DONE"
    missing = of_kind(events, "missing")
    assert [event["hosts"] for event in missing] == [[1]]
    assert missing[0]["message"] == "waiting for host 1"


def test_a_cap_of_the_budget_ends_with_a_save() -> None:
    plan = job(phase("a", steps=40), budget=BudgetConfig(max_chip_hours=200 / 3600))
    _, state, events = one(plan)
    assert state.state == "OVER_BUDGET"
    assert causes(events) == ["stopped"]
    assert of_kind(events, "end")[0]["lost_steps"] == 0
    assert "budget.max_chip_hours = 0.0555556 is reached" in state.why


def test_a_stage_that_the_budget_does_not_cover_is_not_started() -> None:
    plan = job(
        phase("a", expected_chip_hours=1.0),
        phase("b", "train.a", expected_chip_hours=9.0),
        budget=BudgetConfig(max_chip_hours=5.0),
    )
    _, state, events = one(plan)
    assert state.state == "OVER_BUDGET"
    assert state.stage("train.a").state == "DONE"
    assert of_kind(events, "attempt")[-1]["stage"] == "train.a"
    assert "train.b is expected to take 9 chip-hours" in state.why


def test_fewer_slices_while_one_is_away_and_all_when_it_is_back() -> None:
    def gone(world: World) -> None:
        for number in (2, 3):
            world.stop_machine(world.hosts[number], 40)

    _, state, events = one(job(phase("a", steps=60), slices=2, hosts=2), (12, gone))
    assert state.state == "DONE"
    attempts = [e["record"] for e in of_kind(events, "attempt")]
    assert [a["hosts"] for a in attempts] == [[0, 1, 2, 3], [0, 1], [0, 1, 2, 3]]
    more = "--config.execution.num_microbatches=2"
    assert [more in a["arguments"] for a in attempts] == [False, True, False]
    told = "on 1 of 2 slices, 2 micro-batches instead of 1"
    assert [e.get("message") for e in of_kind(events, "attempt")] == [None, told, None]
    assert causes(events) == ["lost_host", "stopped", "done"]
    assert [e["lost_steps"] for e in of_kind(events, "end")][1:] == [0, 0]
    assert state.stage("train.a").failures == 0
    assert set(FAILURES).isdisjoint(causes(events)[1:])


def test_two_phases_at_once_on_two_slices() -> None:
    plan = job(phase("a"), phase("b"), single("report", "train.a", "train.b"), slices=2, hosts=2)
    _, state, events = one(plan)
    assert state.state == "DONE"
    attempts = [e["record"] for e in of_kind(events, "attempt")]
    assert [a["hosts"] for a in attempts] == [[0, 1], [2, 3], [0]]
    times = {e["attempt"]: e["time"] for e in of_kind(events, "attempt")}
    ends = {e["attempt"]: e["time"] for e in of_kind(events, "end")}
    assert times["train.b-1"] < ends["train.a-1"]
    assert times["report-1"] >= max(ends["train.a-1"], ends["train.b-1"])


def test_a_phase_gets_the_slice_of_another_one_that_has_ended() -> None:
    plan = job(phase("a", steps=60), phase("b", steps=4), slices=2, hosts=2)
    _, state, events = one(plan)
    assert state.state == "DONE"
    attempts = [(e["attempt"], e["record"]["hosts"]) for e in of_kind(events, "attempt")]
    assert attempts == [
        ("train.a-1", [0, 1]),
        ("train.b-1", [2, 3]),
        ("train.a-2", [0, 1, 2, 3]),
    ]
    assert causes(events) == ["done", "stopped", "done"]


def test_a_phase_that_grows_does_not_wait_for_a_slice_that_is_away() -> None:
    """Of three slices one is gone for good: with the one that gets free it goes on at once."""

    def gone(world: World) -> None:
        world.stop_machine(world.hosts[1], 10_000)

    plan = job(phase("a", steps=80), phase("b", steps=8), slices=3, hosts=1)
    _, state, events = one(plan, (1, gone))
    assert state.state == "DONE"
    hosts = {e["attempt"]: e["record"]["hosts"] for e in of_kind(events, "attempt")}
    assert hosts == {"train.a-1": [0], "train.b-1": [2], "train.a-2": [0, 2]}
    stopped = next(e["true_s"] for e in of_kind(events, "end") if e["cause"] == "stopped")
    again = next(e["true_s"] for e in of_kind(events, "attempt") if e["attempt"] == "train.a-2")
    assert again - stopped <= random_faults.WATCHDOG.heartbeat_s + TICK_S


def test_a_phase_that_is_nearly_done_does_not_grow() -> None:
    """The restart would take longer than the steps that are left."""
    plan = job(phase("a", steps=17), phase("b", steps=8), slices=2, hosts=2)
    _, state, events = one(plan)
    assert state.state == "DONE"
    assert [e["attempt"] for e in of_kind(events, "attempt")] == ["train.a-1", "train.b-1"]
    assert causes(events) == ["done", "done"]


def test_a_job_that_was_stopped_in_a_backoff_waits_for_hosts_after_its_resume() -> None:
    """It does not show STARTING and RESTARTING before anything was started."""
    kill = made(random_faults.end_worker(-9, "crash"))
    plan = job(phase("a", steps=20))
    faults = [(tick, kill) for tick in (12, 24, 40)]
    stop, resume = made(request("stop")), made(request("resume"))

    def gone(world: World) -> None:
        for host in world.hosts.values():
            world.stop_machine(host, 6)
        world.conductor = None

    _, state, events = one(plan, *faults, (43, stop), (50, gone), (51, resume))
    assert state.state == "DONE"
    states = [e["state"] for e in of_kind(events, "state")]
    since = len(states) - states[::-1].index("STOPPED")
    assert states[since : since + 4] == ["QUEUED", "PROVISIONING", "STARTING", "RUNNING"]


def test_a_lost_host_that_comes_back_is_told_to_kill_its_old_worker() -> None:
    def cut(world: World) -> None:
        world.is_lenient = True
        world.hosts[1].worker.is_stuck = True
        world.hosts[1].is_partitioned = 8

    _, state, events = one(job(phase("a")), (14, cut))
    assert state.state == "DONE"
    assert causes(events) == ["lost_host", "done"]


def test_a_save_that_is_longer_than_the_grace_period_is_told_once() -> None:
    class Slow(World):
        def _record(self, host):
            record = super()._record(host)
            if record.report is None or record.report.saved_step is None:
                return record
            return replace(record, report=replace(record.report, save_s=40.0))

    world = Slow(job(phase("a")), seed=0, faults={})
    state, events = run(world)
    assert state.state == "DONE"
    warnings = of_kind(events, "warning")
    assert len(warnings) == 1
    assert "a save takes 40.0 s, and the machine grants 15 s" in warnings[0]["message"]


def test_too_many_preemptions() -> None:
    plan = job(phase("a", steps=30), restart=RestartConfig(max_preemptions=2))
    faults = [(tick, made(random_faults.sigterm_worker)) for tick in range(14, 80, 3)]
    _, state, events = one(plan, *faults)
    assert state.state == "FAILED"
    assert causes(events) == ["preemption"] * 2
    assert "2 preemptions (restart.max_preemptions)" in state.why


def test_a_resume_after_a_cap_may_raise_it() -> None:
    def resume(world: World) -> None:
        world.requests.append(Request(number=1, kind="resume", max_chip_hours=1.0))

    plan = job(phase("a", steps=20), budget=BudgetConfig(max_chip_hours=200 / 3600))
    _, state, events = one(plan, (80, resume))
    assert state.state == "DONE"
    assert causes(events) == ["stopped", "done"]
    assert "OVER_BUDGET" in [e["state"] for e in of_kind(events, "state")]


def test_a_worker_that_orders_of_another_conductor_replaced_is_noticed() -> None:
    def replaced(world: World) -> None:
        world.hosts[1].attempt, world.hosts[1].worker = "train.x-9", None

    _, state, events = one(job(phase("a")), (14, replaced))
    assert state.state == "DONE"
    assert causes(events) == ["lost_host", "done"]
    assert of_kind(events, "hang") == []


@pytest.mark.parametrize("seed", range(10))
def test_a_lost_host_is_named_in_time(seed: int) -> None:
    def gone(world: World) -> None:
        world.stop_machine(world.hosts[1], 20)

    world, _, events = one(job(phase("a")), (14, gone), seed=seed)
    lost = of_kind(events, "lost_host")
    assert [event["host"] for event in lost] == [1]
    started_s = 1_000_000.0
    took_s = seconds(lost[0]["time"]) - (started_s + 14 * TICK_S)
    assert took_s <= world.job.launch.watchdog.heartbeat_s + 2 * TICK_S
