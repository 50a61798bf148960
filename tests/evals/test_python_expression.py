import dataclasses
from pathlib import Path
from typing import cast

from codepretrain import hosts
from codepretrain.evals.language_model import Completion, LanguageModel
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
from codepretrain.evals.spread import agree_on_sandbox
from codepretrain.evals.task_items import load_items
from codepretrain.model.transformer import Params
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
        def generate(self, params, prompts, **_):
            return [[Completion([1], b"1", "stop")] for _ in prompts]

    waits = []

    def gather(what, compute, *, wait_s=0.0):
        if what != "the programs":
            return [compute()]
        waits.append(wait_s)
        (share,) = compute.args
        late = Execution("timeout", -9, b"", b"", 20.0, ())
        return [[grade(item, text, late) for item, text in share]]

    monkeypatch.setattr(hosts, "gather", gather)
    items = [dataclasses.replace(ITEM, id=f"e{number}") for number in range(500)]
    evaluate = PythonExpression(cast(LanguageModel, Model()), items)
    assert len(evaluate({}, no_progress).items.ids) == 500
    per_process = agree_on_sandbox(LIMITS.memory_bytes + LIMITS.disk_bytes).per_process
    assert waits == [waits[0]] * -(-500 // per_process)
    assert waits[0] >= per_process * LIMITS.wall_s


def test_completions_of_the_model_are_run_and_reproducible(
    model: LanguageModel, sharded_params: Params, data_dir: Path
) -> None:
    items = load_items(data_dir, "python_expression", ExpressionItem, num_examples=6, vocab_size=64)
    evaluate = PythonExpression(model, items)
    found = evaluate(sharded_params, no_progress)
    EVALUATOR.check_result(found)
    assert found.metrics == evaluate(sharded_params, no_progress).metrics
    for item, record in zip(items, found.items.records, strict=True):
        ((written,),) = model.generate(
            sharded_params, [item.prompt], max_new_tokens=4, stop=[b"\n"]
        )
        assert record["completion"] == written.text.decode()


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
from codepretrain.evals.language_model import Completion
from codepretrain.evals.progress import no_progress
from codepretrain.evals.sandbox.run import Execution, run_programs

class Model:
    def generate(self, params, prompts, **options):
        return [[Completion([1], b"2", "stop")] for _ in prompts]

items = [
    python_expression.ExpressionItem(
        id=f"e{i}",
        document="d",
        prompt=[1],
        expression_prefix=f"{i} + ",
        expected="3",
        reference="2",
        closing_is_right=False,
        max_new_tokens=4,
    )
    for i in range(5)
]
evaluate = python_expression.PythonExpression(Model(), items)
num_run = 0

def run(programs, **options):
    global num_run
    num_run += len(programs)
    return run_programs(programs, **options)

def refuse(programs, **options):
    if process == 1:
        raise UserError("the sandbox cannot start")
    return run_programs(programs, **options)

python_expression.run_programs = run
print(evaluate({}, no_progress).items.scores["pass_at_1"].tolist(), num_run)
python_expression.run_programs = refuse
try:
    evaluate({}, no_progress)
except UserError as error:
    print(error)
"""


def test_processes_share_the_programs_and_all_get_the_result(run_job: RunJob) -> None:
    first, second = run_job(TWO_PROCESSES)
    found = "[False, True, False, False, False]"
    assert first.stdout.splitlines() == [f"{found} 3", "the sandbox cannot start"], first.stderr
    assert second.stdout.splitlines() == [f"{found} 2", "the sandbox cannot start"], second.stderr
