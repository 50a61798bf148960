"""Prompts and trials of MBPP."""

from typing import Any

import pytest

from codepretrain.evals.programs.grade import grade_trials
from codepretrain.evals.programs.mbpp import SHOWN_TASKS, STOP, problems
from tests.evals.programs import harness_task
from tests.evals.programs.conftest import MBPP, QUICK


def test_the_test_split_is_solved_by_its_references() -> None:
    found = problems(MBPP, num_fewshot=3)
    assert [p.id for p in found] == ["MBPP/11", "MBPP/12", "MBPP/13"]
    trials = [p.trial(p.reference) for p in found]
    assert all(one.passed for one in grade_trials(trials, limits=QUICK, num_workers=2))


def test_policies_name_the_function_of_the_tests() -> None:
    found = problems(MBPP, num_fewshot=0)
    trials = [p.trial(text) for p in found for text in p.policies.values()]
    reasons = [one.reason for one in grade_trials(trials, limits=QUICK, num_workers=2)]
    #  empty, pass, first argument; `depth` needs its class, which no policy writes
    assert reasons == [
        *("error", "wrong", "wrong"),
        *("error", "error", "error"),
        *("error", "error", "wrong"),
    ]


def test_the_prompt_is_the_harness_own() -> None:
    """With the three solved tasks of its 3-shot form, byte for byte."""
    task = harness_task.load("mbpp/mbpp.yaml")
    by_id = {record["task_id"]: record for record in MBPP}
    shown = "".join(task.shown(by_id[number]) for number in SHOWN_TASKS)
    for problem in problems(MBPP, num_fewshot=3):
        record = by_id[int(problem.id.removeprefix("MBPP/"))]
        record = {**record, "test_list": (record["test_list"] * 3)[:3]}
        assert problem.prompt == shown + task.prompt(record)
    assert list(STOP) == task.stop


def test_a_prompt_without_examples_is_the_task_alone() -> None:
    (first, *_) = problems(MBPP, num_fewshot=0)
    assert first.prompt == (
        "You are an expert Python programmer, and here is your task: Write a function named sum. "
        "Your code should pass these tests:\n\nassert sum(1, 2) == 3\nassert sum(2, 2) == 4\n"
        "assert sum(0, 0) == 0\n[BEGIN]\n"
    )


def test_the_sanitized_file_has_other_fields() -> None:
    record = {
        "source_file": "x.ipynb",
        "task_id": 20,
        "prompt": "Write a function named f.",
        "code": "def f(x):\n  return x / 3",
        "test_imports": ["import math"],
        "test_list": ["assert math.isclose(f(1), 0.3333, abs_tol=0.001)"],
    }
    (found,) = problems([record], num_fewshot=0)
    assert "Write a function named f." in found.prompt
    trials = [found.trial(text) for text in (found.reference, "def f(x): return x")]
    reasons = [one.reason for one in grade_trials(trials, limits=QUICK, num_workers=2)]
    assert reasons == ["passed", "wrong"]


def test_an_answer_ends_at_done() -> None:
    (first, *_) = problems(MBPP, num_fewshot=0)
    assert first.trial("def sum(a, b): return 0\n[DONE]\nx").source == "def sum(a, b): return 0\n"


def test_the_function_may_be_named_like_a_built_in_one_but_others_may_not_be_replaced() -> None:
    record = MBPP[3] | {"test_list": ["assert abs(sum(1, 2) - 3) < 1"]}
    (found,) = problems([record], num_fewshot=0)
    forged = "def sum(a, b): return 50\ndef abs(x): return 0\n"
    (graded,) = grade_trials([found.trial(forged)], limits=QUICK, num_workers=1)
    assert graded.reason == "wrong"


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([MBPP[3]] * 2, "task 11 is there twice"),
        ([MBPP[3] | {"task_id": "11"}], "record 1: task_id is no whole number"),
        ([MBPP[3] | {"code": "def ("}], "task 11: no Python"),
        ([MBPP[3] | {"test_list": []}], "task 11: no tests in test_list"),
        ([MBPP[3] | {"text": None}], "task 11: no text in text or prompt"),
        ([MBPP[-1]], "no task of the test split, 11 to 510"),
    ],
)
def test_damage_is_named(records: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        problems(records, num_fewshot=0)


def test_examples_that_are_missing_are_named() -> None:
    with pytest.raises(ValueError, match=r"a 3-shot prompt shows the tasks \(2, 3, 4\), and not"):
        problems(MBPP[3:], num_fewshot=3)
