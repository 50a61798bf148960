import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from codepretrain import hosts
from codepretrain.evals.language_model import LanguageModel
from codepretrain.evals.progress import no_progress
from codepretrain.evals.python_expression import (
    EVALUATOR,
    LIMITS,
    ExpressionItem,
    PythonExpression,
    grade,
    program,
    result,
)
from codepretrain.evals.sandbox.run import Execution, run_programs
from codepretrain.evals.task_items import load_items
from codepretrain.model.transformer import Params
from codepretrain.rows.vocabulary import Vocabulary
from tests.fixtures.processes import RunJob

ITEM = ExpressionItem(
    id="e",
    document="d",
    prompt=[1],
    expression_prefix="[1, 2] + ",
    expected="[1, 2, 3]",
    reference="[3]",
    closing_is_right=False,
    max_new_tokens=4,
)
WRITTEN = {
    "[3]": (True, True),
    "[3], 4) and whatever": (True, True),
    "sorted({3})": (False, False),  # it ends at the first expression: `sorted`
    "[4]": (False, True),
    "[": (False, False),
    "": (False, False),
    "(print('[1, 2, 3]'))": (False, False),
    "(__import__('os')._exit(0))": (False, False),  # passes, and prints no value
    "[prefix]": (False, False),
    "'\udcff'": (False, False),
}


def test_only_the_value_counts() -> None:
    executions = run_programs([program(ITEM, text) for text in WRITTEN])
    items = [
        dataclasses.replace(ITEM, id=f"e{n}", document=f"d{n // 2}") for n in range(len(WRITTEN))
    ]
    graded = result(items, [grade(ITEM, *pair) for pair in zip(WRITTEN, executions, strict=True)])
    found = zip(graded.items.scores["pass_at_1"], graded.items.scores["runs"], strict=True)
    assert dict(zip(WRITTEN, found, strict=True)) == WRITTEN
    assert graded.metrics["pass_at_1"].value == 2 / 10
    assert (graded.metrics["runs"].count, graded.metrics["runs"].num_items) == (5, 10)
    assert {name: m.value for name, m in graded.metrics.items() if "predicted" in name} == {
        "predicted/expected_value": 2 / 10,
        "predicted/other_value": 1 / 10,
        "predicted/no_value": 7 / 10,
        "predicted/timeout": 0,
        "predicted/memory": 0,
        "predicted/output": 0,
    }
    record = graded.items.records[3]
    assert (record["completion"], record["printed"]) == ("[4]", "[1, 2, 4]\n")
    assert record["isolation"][0]


def test_the_baselines_are_those_of_the_items() -> None:
    """Two of three items have the value 4, and closing brackets solves one."""
    items = [
        dataclasses.replace(ITEM, id=str(n), expected=value, closing_is_right=is_right)
        for n, (value, is_right) in enumerate([("4", False), ("5", True), ("4", False)])
    ]
    executions = [
        Execution("passed", 0, b"4\n", b"", 0.0, ()),
        Execution("timeout", -9, b"", b"", 9.0, ()),
        Execution("memory", -9, b"", b"", 0.0, ()),
    ]
    graded = result(items, [grade(i, "", e) for i, e in zip(items, executions, strict=True)])
    EVALUATOR.check_result(graded)
    values = {name: metric.value for name, metric in graded.metrics.items() if metric.value}
    assert values == {
        "pass_at_1": 1 / 3,
        "runs": 1 / 3,
        "baseline/majority": 2 / 3,
        "baseline/closes_brackets": 1 / 3,
        "predicted/expected_value": 1 / 3,
        "predicted/timeout": 1 / 3,
        "predicted/memory": 1 / 3,
    }


def test_the_others_wait_for_programs_that_all_reach_the_time_limit(monkeypatch) -> None:
    class Model:
        vocabulary = SimpleNamespace(decode=lambda ids: b"1")

        def generate(self, params, prompts, **_):
            return [[1] for _ in prompts]

    waits = []

    def decide(what, compute, *, wait_s):
        waits.append(wait_s)
        return [grade(ITEM, "1", Execution("timeout", -9, b"", b"", 20.0, ()))] * 500

    monkeypatch.setattr(hosts, "decide", decide)
    items = [dataclasses.replace(ITEM, id=f"e{number}") for number in range(500)]
    PythonExpression(cast(LanguageModel, Model()), items)({}, no_progress)
    assert waits[0] >= 500 * LIMITS.wall_s


def test_completions_of_the_model_are_run_and_reproducible(
    model: LanguageModel, vocabulary: Vocabulary, sharded_params: Params, data_dir: Path
) -> None:
    items = load_items(data_dir, "python_expression", ExpressionItem, num_examples=6, vocab_size=64)
    evaluate = PythonExpression(model, items)
    found = evaluate(sharded_params, no_progress)
    EVALUATOR.check_result(found)
    assert found.metrics == evaluate(sharded_params, no_progress).metrics
    for item, record in zip(items, found.items.records, strict=True):
        (ids,) = model.generate(sharded_params, [item.prompt], max_new_tokens=4, stop_bytes=b"\n")
        assert record["completion"] == vocabulary.decode(ids).split(b"\n")[0].decode()


def test_a_model_that_writes_the_reference_passes(data_dir: Path) -> None:
    items = load_items(data_dir, "python_expression", ExpressionItem, num_examples=6, vocab_size=64)
    executions = run_programs([program(item, item.reference) for item in items])
    graded = [
        grade(item, item.reference, execution)
        for item, execution in zip(items, executions, strict=True)
    ]
    assert result(items, graded).metrics["pass_at_1"].value == 1


TWO_PROCESSES = """
from codepretrain.errors import UserError
from codepretrain.evals import python_expression
from codepretrain.evals.progress import no_progress
from codepretrain.evals.sandbox.run import Execution, run_programs

class Model:
    vocabulary = type("", (), {"decode": staticmethod(bytes)})

    def generate(self, params, prompts, **options):
        return [list(b"2") for _ in prompts]

item = python_expression.ExpressionItem(
    id="e",
    document="d",
    prompt=[1],
    expression_prefix="1 + ",
    expected="3",
    reference="2",
    closing_is_right=False,
    max_new_tokens=4,
)
evaluate = python_expression.PythonExpression(Model(), [item])

def run_on_process_0(programs, **options):
    assert process == 0, "process 1 ran a program"
    return run_programs(programs, **options)

def refuse(programs, **options):
    raise UserError("the sandbox cannot start")

python_expression.run_programs = run_on_process_0
print(evaluate({}, no_progress).metrics["pass_at_1"].value)
python_expression.run_programs = refuse
try:
    evaluate({}, no_progress)
except UserError as error:
    print(error)
"""


def test_process_0_runs_the_programs_and_all_get_the_result(run_job: RunJob) -> None:
    for ended in run_job(TWO_PROCESSES):
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.splitlines() == ["1.0", "the sandbox cannot start"]
