"""When a stage is started again."""

import pytest

from codepretrain.launch.machine import RestartConfig
from codepretrain.launch.restart import GiveUp, Retry, resume_command, show_batch_command, verdict
from codepretrain.launch.states import StageState
from tests.launch.random_faults import job, phase, single

CONFIG = RestartConfig(
    max_failures=5, max_preemptions=3, backoff_s=5, max_backoff_s=30, same_step_limit=3
)


def stage(cause: str, **fields) -> StageState:
    return StageState(state="RESTARTING", last_cause=cause, last_message="m", **fields)


@pytest.mark.parametrize(
    ("known", "after_s"),
    [
        (stage("crash", failures=1), 5),
        (stage("hang", failures=2), 10),
        (stage("lost_host", failures=3), 20),
        (stage("out_of_memory", failures=4), 30),
        (stage("preemption", failures=4, preemptions=2), 0),
        (stage("stopped", failures=4), 0),
        (StageState(state="RESTARTING"), 0),  # resumed by a command
        (stage("crash", failures=2, same_step_failures=2, last_failed_step=7), 10),
        (stage("lost_host", failures=2, same_step_failures=3), 10),
        (stage("crash", failures=4, same_step_failures=4), 30),  # before any step
    ],
)
def test_retry(known: StageState, after_s: float) -> None:
    assert verdict(known, CONFIG, show_batch=None) == Retry(after_s)


@pytest.mark.parametrize(
    ("known", "why"),
    [
        (stage("crash", failures=5), "5 failures in a row without a new checkpoint"),
        (stage("preemption", preemptions=3), "3 preemptions"),
        (stage("hang", failures=1, same_step_failures=3, last_failed_step=1234), "at step 1,234"),
    ],
)
def test_give_up(known: StageState, why: str) -> None:
    found = verdict(known, CONFIG, show_batch="codepretrain show-batch X")
    assert isinstance(found, GiveUp)
    assert why in found.why
    assert found.why.count("the last: m") == 1
    assert ("show-batch X" in found.why) == ("step" in why)


def test_commands() -> None:
    plan = job(phase("a", steps=8), single("report", "train.a"))
    a, report = plan.stages
    assert show_batch_command(plan, a, 7) == (
        "codepretrain show-batch --config c.py --workdir w --phase a --step 7"
    )
    assert show_batch_command(plan, a, 8) is None  # after the last step: no batch is to blame
    assert show_batch_command(plan, a, None) is None
    assert show_batch_command(plan, report, 1) is None
    assert resume_command(plan) == "codepretrain launch resume j --workdir w"
