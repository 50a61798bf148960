"""Which stages start, on which slices."""

from dataclasses import replace

import pytest

from codepretrain.launch.job import Job
from codepretrain.launch.machine import BudgetConfig
from codepretrain.launch.records import Attempt
from codepretrain.launch.scheduler import contenders, impossible, path_lengths, starts
from codepretrain.launch.states import JobState, Live, StageState
from tests.launch.random_faults import WATCHDOG, job, phase, single


def state(*running: tuple[str, int], **stages: str | StageState) -> JobState:
    known = {
        name.replace("_", "."): s if isinstance(s, StageState) else StageState(state=s)
        for name, s in stages.items()
    }
    live = {}
    for stage, num_slices in running:
        known[stage] = StageState(state="RUNNING")
        live[f"{stage}-1"] = Live(
            attempt=Attempt(
                id=f"{stage}-1",
                stage=stage,
                number=1,
                hosts=(0,),
                coordinator=None,
                expected_step=None,
                arguments=(),
            ),
            boots={},
            before={},
            num_slices=num_slices,
            started_s=0,
            measured_s=0,
        )
    return JobState(stages=known, live=live)


def chosen(plan: Job, known: JobState, available: list[int], waited_s: float = 0.0) -> list:
    ready = contenders(plan, known)
    waited = {stage.name: waited_s for stage in ready}
    found = starts(plan, known, ready=ready, available=available, waited_s=waited)
    return [(start.stage.name, start.slices, start.wanted) for start in found]


#      a (100) ── b (300) ── e (100)          d (200)
#              └─ c (100) ─────────── report
TREE = (
    phase("c", "train.a", steps=1),
    phase("a", steps=1),
    phase("b", "train.a", steps=3),
    phase("e", "train.b", steps=1),
    phase("d", steps=2),
    single("report", "train.c", "train.e", "train.d"),
)


def test_path_lengths_by_hand() -> None:
    lengths = path_lengths(job(*TREE), state())
    assert lengths == {
        "train.a": 500,
        "train.b": 400,
        "train.c": 100,
        "train.d": 200,
        "train.e": 100,
        "report": 0,
    }
    half = StageState(state="RESTARTING", saved_step=1)
    found = path_lengths(job(*TREE), state(train_a="DONE", train_d=half))
    assert (found["train.a"], found["train.d"]) == (400, 100)


def test_path_lengths_in_chip_hours_if_all_have_them() -> None:
    plan = job(phase("a", expected_chip_hours=2.0), phase("b", "train.a", expected_chip_hours=3.0))
    assert path_lengths(plan, state()) == {"train.a": 5.0, "train.b": 3.0}


def test_the_longest_path_first_a_slice_each() -> None:
    plan = job(*TREE, slices=4)
    assert chosen(plan, state(), [0, 1, 2, 3]) == [("train.a", (0,), 1), ("train.d", (1,), 1)]
    after = state(train_a="DONE")
    expected = [("train.b", (2,), 1), ("train.d", (3,), 1)]
    assert chosen(plan, after, [2, 3]) == expected
    assert [s.name for s in contenders(plan, after)] == ["train.b", "train.d", "train.c"]


def test_every_slice_for_one_that_is_alone() -> None:
    plan = job(phase("a"), phase("b", "train.a"), slices=4)
    assert chosen(plan, state(), [0, 1, 2, 3]) == [("train.a", (0, 1, 2, 3), 4)]
    assert chosen(plan, state(), [0, 1, 2]) == []
    assert chosen(plan, state(), [0, 1, 2], WATCHDOG.init_s) == [("train.a", (0, 1, 2), 4)]
    beside = job(phase("a"), phase("b"), slices=4)
    assert chosen(beside, state(("train.a", 1)), [1, 2, 3]) == [("train.b", (1, 2, 3), 3)]


def test_a_stage_in_its_backoff_keeps_a_slice_free() -> None:
    plan = job(phase("a"), phase("b"), slices=3)
    known = state(train_a="RESTARTING")
    ready = [stage for stage in contenders(plan, known) if stage.name == "train.b"]
    found = starts(plan, known, ready=ready, available=[0, 1, 2], waited_s={"train.b": 0})
    assert [start.slices for start in found] == [(0,)]


def test_min_slices() -> None:
    plan = job(phase("a"), slices=4, min_slices=3)
    assert chosen(plan, state(), [0, 1], 1e9) == []
    assert chosen(plan, state(), [0, 1, 3], 1e9) == [("train.a", (0, 1, 3), 4)]


def test_max_slices() -> None:
    plan = job(phase("a"), phase("b"), phase("c"), slices=4, budget=BudgetConfig(max_slices=2))
    found = chosen(plan, state(), [0, 1, 2, 3])
    assert [name for name, _, _ in found] == ["train.a", "train.b"]
    assert chosen(plan, state(("train.a", 1), ("train.b", 1)), [2, 3]) == []
    alone = job(phase("a"), slices=4, budget=BudgetConfig(max_slices=2))
    assert chosen(alone, state(), [0, 1, 2, 3]) == [("train.a", (0, 1), 2)]


def test_a_single_process_takes_one_slice() -> None:
    plan = job(single("prepare"), phase("a", "prepare"), slices=2)
    assert chosen(plan, state(), [0, 1]) == [("prepare", (0,), 1)]


def test_one_fingerprint_runs_once_at_a_time() -> None:
    plan = job(phase("a", fingerprint="x"), phase("b", fingerprint="x"), slices=2)
    assert chosen(plan, state(), [0, 1]) == [("train.a", (0,), 1)]
    assert chosen(plan, state(("train.a", 1)), [1]) == []
    assert chosen(plan, state(train_a="DONE"), [0, 1]) == [("train.b", (0, 1), 2)]


def test_a_batch_that_needs_more_than_a_slice() -> None:
    """A batch of 6 rows: not over 4 devices, but over 2, and over 6."""
    plan = replace(job(phase("a", batch_size=6), slices=3, hosts=1), chips_per_host=2)
    assert chosen(plan, state(), [0, 1, 2]) == [("train.a", (0, 1, 2), 3)]
    assert chosen(plan, state(), [0, 1], 1e9) == [("train.a", (0,), 3)]


def test_a_batch_that_all_slices_together_do_not_divide() -> None:
    """8 rows on two slices of 8 devices: each phase on one of them."""
    plan = replace(job(phase("a", batch_size=8), slices=2, hosts=2), chips_per_host=4)
    assert chosen(plan, state(), [0, 1]) == [("train.a", (0,), 2)]


@pytest.mark.parametrize(("batch", "is_possible"), [(48, True), (7, False)])
def test_impossible(batch: int, is_possible: bool) -> None:
    plan = job(phase("a", batch_size=batch), slices=4, budget=BudgetConfig(max_slices=2))
    assert (impossible(plan, plan.stages[0]) is None) == is_possible
