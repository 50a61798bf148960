"""The two sandboxed programs of a verification.

`recording_program` runs a candidate: it evaluates the code of every step and writes down the
results as text. It contains neither expectations nor a nonce, so whatever the candidate reads,
replaces or prints, it can only give results, and right results are what is asked for. It
runs as the main module, as a document does.

`checking_program` runs after the other has ended, in a new sandbox. It contains recorded results,
as literals, and what must hold for them, but nothing of the candidate. It prints a problem's nonce
if all of its steps hold.
"""

import json
from collections.abc import Sequence
from typing import Any

from codepretrain.data.synthetic.problem import Problem

Record = list[list[tuple[str, Any]]]  # by test and step: an outcome and its detail

_RECORDING = '''\
import json, os, sys

def plain(value, depth=0):
    """Whether the value's repr is a literal: exact types only, so no method of a subclass runs."""
    kind = type(value)
    if kind in (int, float, complex, str, bytes, bool, type(None)):
        return True
    if depth > 50:
        return False
    if kind is dict:
        return all(plain(x, depth + 1) for pair in value.items() for x in pair)
    return kind in (list, tuple, set) and all(plain(x, depth + 1) for x in value)

def described(value):
    """A value that has no repr is an object, not an exception that a test might ask for."""
    try:
        return ("value", repr(value)) if plain(value) else ("object", None)
    except BaseException:
        return ("object", None)

def outcome(code, kind, scope):
    try:
        if kind == "exec":
            exec(compile(code, "<test>", "exec"), scope)
            return ("done", None)
        value = eval(compile(code, "<test>", "eval"), scope)
    except BaseException as error:
        return ("raised", [kind.__name__ for kind in type(error).__mro__])
    return described(value)

def main(candidate, tests):
    output = os.dup(1)
    sys.stdout = open(os.devnull, "w")
    namespace = {"__name__": "__main__"}
    exec(compile(candidate, "<solution>", "exec"), namespace)
    records = []
    for test in tests:
        scope = dict(namespace)
        records.append([outcome(code, kind, scope) for code, kind in test])
    text = json.dumps(records).encode()
    while text:
        text = text[os.write(output, text):]

'''

_CHECKING = """\
import ast, warnings

warnings.simplefilter("ignore")

def holds(check, raises, kind, detail):
    if raises is not None:
        return kind == "raised" and raises in detail
    if check is None:
        return kind in ("value", "done", "object")
    return kind == "value" and bool(eval(check, {"result": ast.literal_eval(detail)}))

def passes(steps):
    try:
        return all([holds(*step) for step in steps])
    except Exception:
        return False

"""


def recording_program(problem: Problem, candidate: str) -> str:
    """Returns a program that prints the record of a candidate as JSON."""
    tests = [
        [
            (step.code, "exec" if step.check is None and step.raises is None else "eval")
            for step in test
        ]
        for test in problem.tests
    ]
    return f"{_RECORDING}main({candidate!r}, {tests!r})\n"


def parse_record(problem: Problem, output: bytes) -> Record | None:
    """Returns the record that a recording program printed, None if it is not one.

    The output is the candidate's: nothing is assumed about it.
    """
    try:
        value = json.loads(output)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, list) or len(value) != len(problem.tests):
        return None
    for test, steps in zip(problem.tests, value, strict=True):
        if not isinstance(steps, list) or len(steps) != len(test):
            return None
        if not all(_is_outcome(outcome) for outcome in steps):
            return None
    return value


def _is_outcome(value: object) -> bool:
    if not isinstance(value, list) or len(value) != 2:
        return False
    kind, detail = value
    if kind == "raised":
        return isinstance(detail, list) and all(isinstance(name, str) for name in detail)
    return isinstance(kind, str) and (detail is None or isinstance(detail, str))


def checking_program(items: Sequence[tuple[Problem, Record]], nonces: Sequence[str]) -> str:
    """Returns a program that prints the nonce of every item whose record passes, a line each."""
    lines = [_CHECKING]
    for (problem, record), nonce in zip(items, nonces, strict=True):
        steps = [
            (step.check, step.raises, *outcome)
            for test, outcomes in zip(problem.tests, record, strict=True)
            for step, outcome in zip(test, outcomes, strict=True)
        ]
        lines.append(f"if passes({steps!r}):\n    print({nonce!r}, flush=True)\n")
    return "".join(lines)
