"""Prompts and trials of HumanEval."""

from typing import Any

import pytest

from codepretrain.evals.programs.grade import grade_trials
from codepretrain.evals.programs.human_eval import STOP, problems
from tests.evals.programs import harness_task
from tests.evals.programs.conftest import HUMAN_EVAL, QUICK


def test_references_pass_and_policies_do_what_they_say() -> None:
    for keep_line_break in (False, True):
        found = problems(HUMAN_EVAL, keep_line_break=keep_line_break)
        texts = [[p.reference, *p.policies.values()] for p in found]
        trials = [p.trial(text) for p, some in zip(found, texts, strict=True) for text in some]
        reasons = [one.reason for one in grade_trials(trials, limits=QUICK, num_workers=2)]
        #                reference, empty, pass, first argument
        assert reasons == [
            *("passed", "wrong", "wrong", "wrong"),
            *("passed", "wrong", "wrong", "wrong"),
            *("passed", "wrong", "wrong", "passed"),
        ]


def test_the_prompt_ends_before_its_line_break_unless_it_is_kept() -> None:
    record = HUMAN_EVAL[0]
    (short, *_) = problems(HUMAN_EVAL, keep_line_break=False)
    (whole, *_) = problems(HUMAN_EVAL, keep_line_break=True)
    assert whole.prompt == record["prompt"]
    assert short.prompt == record["prompt"].removesuffix("\n")
    assert short.prompt + short.reference == record["prompt"] + record["canonical_solution"]
    assert whole.reference == record["canonical_solution"]


def test_the_prompt_is_the_harness_own() -> None:
    """The task of lm-evaluation-harness renders the record's prompt as it is, line break kept."""
    task = harness_task.load("humaneval/humaneval.yaml")
    for record, problem in zip(HUMAN_EVAL, problems(HUMAN_EVAL, keep_line_break=True), strict=True):
        assert problem.prompt == task.prompt(record)
    assert list(STOP) == task.stop


def test_a_completion_ends_at_the_first_stop_text() -> None:
    (problem, *_) = problems(HUMAN_EVAL, keep_line_break=False)
    text = "\n    return sum(numbers)\n\nprint(total([]))\ndef total(x): return 0\n"
    assert problem.trial(text).source == f"{problem.prompt}\n    return sum(numbers)\n"


def test_helpers_of_the_prompt_are_the_benchmarks_own() -> None:
    """A completion that redefines what the tests use is not believed."""
    problem = problems(HUMAN_EVAL, keep_line_break=False)[1]
    forged = "\n    return ''\nencode = lambda text: 5\nclass str:\n    pass\n"
    (found,) = grade_trials([problem.trial(forged)], limits=QUICK, num_workers=1)
    assert found.reason == "wrong"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"entry_point": "other"}, "HumanEval/0: the prompt does not define other"),
        ({"test": "def check("}, "HumanEval/0: no Python: "),
        ({"canonical_solution": None}, "HumanEval/0: no text in canonical_solution"),
        ({"prompt": "def total(:"}, "HumanEval/0: no Python"),
        ({"task_id": 5}, "5: no text in task_id"),
    ],
)
def test_damage_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        problems([HUMAN_EVAL[0] | change], keep_line_break=False)
