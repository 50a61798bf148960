"""Two real processes: what one of them cannot do ends both, and results are the same on both."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from codepretrain.evals.agreement import on_primary, together

ROOT = Path(__file__).parents[2]

# Prints one line per check. Each process runs all of them in the same order, so a check in which
# only one process went on would leave the other waiting in a collective operation.
SCRIPT = """
import sys
import jax

jax.config.update("jax_platforms", "cpu")
process = int(sys.argv[1])
jax.distributed.initialize(sys.argv[2], num_processes=2, process_id=process)

from codepretrain.errors import UserError
from codepretrain.evals import python_expression
from codepretrain.evals.agreement import on_primary, together
from codepretrain.evals.evaluator import no_progress
from codepretrain.evals.sandbox import run_programs


def told(call):
    try:
        return call()
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def fail_on(number):
    if process == number:
        raise UserError("the disk is full")
    return f"process {process}"


def run_on_0_only(programs, **options):
    assert process == 0, "process 1 ran a program"
    return run_programs(programs, **options)


class Model:
    vocabulary = type("", (), {"decode": staticmethod(bytes)})

    def generate(self, params, prompts, **options):
        return [list(b"2") for _ in prompts]


python_expression.run_programs = run_on_0_only
item = python_expression.ExpressionItem(
    id="e", prompt=[1], expression_prefix="1 + ", expected="3", reference="2", max_new_tokens=4
)
evaluate = python_expression.PythonExpression(Model(), [item])

print("value", told(lambda: on_primary(lambda: {"process": process, "bytes": b"x" * 3}, what="f")))
print("failed", told(lambda: on_primary(lambda: fail_on(0), what="write")))
print("other", told(lambda: on_primary(lambda: fail_on(1), what="write")))
print("own", told(lambda: together(lambda: fail_on(2), what="read")))
print("one", told(lambda: together(lambda: fail_on(1), what="read")))
print("expression", told(lambda: evaluate({}, no_progress).metrics["pass_at_1"].value))
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return found.getsockname()[1]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    script = tmp_path_factory.mktemp("script") / "script.py"
    script.write_text(SCRIPT)
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    environment["PYTHONPATH"] = str(ROOT)
    address = f"localhost:{free_port()}"
    processes = [
        subprocess.Popen(
            [sys.executable, str(script), str(number), address],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment,
        )
        for number in range(2)
    ]
    found = []
    for process in processes:
        output, problems = process.communicate(timeout=120)
        assert process.returncode == 0, problems
        found.append(dict(line.split(" ", 1) for line in output.splitlines()))
    return found


def test_every_process_gets_the_value_of_process_0(outputs: list[dict[str, str]]) -> None:
    assert [found["value"] for found in outputs] == ["{'process': 0, 'bytes': b'xxx'}"] * 2


def test_what_process_0_cannot_do_is_an_error_everywhere(outputs: list[dict[str, str]]) -> None:
    assert [found["failed"] for found in outputs] == [
        "UserError: the disk is full",
        "UserError: process 0 could not write: the disk is full",
    ]
    assert [found["other"] for found in outputs] == ["process 0"] * 2


def test_what_one_process_cannot_do_is_an_error_everywhere(outputs: list[dict[str, str]]) -> None:
    assert [found["own"] for found in outputs] == ["process 0", "process 1"]
    assert [found["one"] for found in outputs] == [
        "UserError: process 1 could not read; its own message says why",
        "UserError: the disk is full",
    ]


def test_process_0_runs_the_programs_and_all_get_the_result(outputs: list[dict[str, str]]) -> None:
    assert [found["expression"] for found in outputs] == ["1.0", "1.0"]


def test_a_single_process_calls_the_function() -> None:
    def fail() -> None:
        raise OSError("no")

    assert on_primary(lambda: 3, what="count") == together(lambda: 3, what="count") == 3
    for call in (on_primary, together):
        with pytest.raises(OSError, match="no"):
            call(fail, what="fail")
