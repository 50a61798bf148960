"""Verdicts: what passes, what fails, and that no candidate can forge one."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from codepretrain.data.synthetic import verify as verification
from codepretrain.data.synthetic.families import FAMILIES
from codepretrain.data.synthetic.generate import generate
from codepretrain.data.synthetic.problem import Problem, Step
from codepretrain.data.synthetic.programs import checking_program, parse_record, recording_program
from codepretrain.data.synthetic.verify import Verdict, verify
from codepretrain.evals.sandbox.run import Execution, SandboxLimits

ADD = Problem(
    statement="Add.",
    name="add",
    tests=(
        (Step("add(20, 22)", check="result == 42"),),
        (Step("x = add(1, 2)"), Step("add(x, x)", check="result == 6")),
        (Step("add(None, 1)", raises="ValueError"),),
        (Step("add([1], [2])", check="len(result) == 2 and result[0] < result[1]"),),
    ),
)
RIGHT = """\
def add(a, b):
    if a is None:
        raise ValueError
    return a + b
"""
QUICK = SandboxLimits(wall_s=20.0, cpu_s=2, memory_bytes=256 << 20, output_bytes=1 << 20)


def test_the_references_of_families_are_verified() -> None:
    problems = [generate(7, i) for i in range(0, len(FAMILIES), 6)]
    verdicts = verify([(problem, problem.solution or "") for problem in problems])
    assert {verdict.status for verdict in verdicts} == {"verified"}
    assert "seccomp" in verdicts[0].isolation


def test_candidates_are_judged_apart_and_in_order() -> None:
    wrong = RIGHT.replace("+", "-")
    candidates = [RIGHT, wrong, "def add(", RIGHT + "\nprint('noise' * 1000)\n", "", "#" * 300_000]
    statuses = [verdict.status for verdict in verify([(ADD, c) for c in candidates])]
    assert statuses == ["verified", "wrong", "not Python", "verified", "wrong", "too large"]


def test_a_solution_runs_as_its_document_would() -> None:
    """As the main module: its block for that is run, and what looks its module up finds one."""
    block = 'if __name__ == "__main__":\n    '
    annotated = """\
from __future__ import annotations
import dataclasses
@dataclasses.dataclass
class Pair:
    a: int
    b: int
"""
    candidates = [
        f"{annotated}{RIGHT}",
        f"{RIGHT}{block}print(add(1, 2))\n",
        f"{RIGHT}{block}raise SystemExit\n",
        f"{RIGHT}{block}add(None, 1)\n",
    ]
    statuses = [verdict.status for verdict in verify([(ADD, c) for c in candidates])]
    assert statuses == ["verified", "verified", "no record", "error"]


def test_a_check_that_does_not_end_is_no_wrong_solution(monkeypatch: pytest.MonkeyPatch) -> None:
    """A verdict that another run may change is not "wrong", which is kept."""
    record = json.dumps([[["value", "42"]], [["done", None], ["value", "6"]],
                         [["raised", ["ValueError"]]], [["value", "[1, 2]"]]]).encode()  # fmt: skip
    ends = [("passed", record), ("timeout", b"")]

    def run(programs, **_):
        status, output = ends.pop(0)
        return [Execution(status, 0, output, b"", 0.0, ()) for _ in programs]

    monkeypatch.setattr(verification, "run_programs", run)
    assert verify([(ADD, RIGHT)])[0].status == "timeout"


FORGERIES = {
    "exits with success": "import sys; sys.exit(0)",
    "exits at once": "import os; os._exit(0)",
    "exits in the function": "import os\ndef add(a, b): os._exit(0)",
    "raises SystemExit in the function": "def add(a, b): raise SystemExit(0)",
    "prints a verdict": "print('verified'); print('passed')\ndef add(a, b): return 0",
    "writes its own record": """\
import json, os
record = [[["value", "0"]], [["done", None], ["value", "0"]], [["raised", ["ValueError"]]],
          [["value", "[1, 2]"]]]
os.write(1, json.dumps(record).encode()); os._exit(0)
""",
    "writes a record of code": """\
import json, os
code = "__import__('sys')._getframe(1)"
record = [[["value", code]], [["done", None], ["value", code]], [["raised", ["ValueError"]]],
          [["value", code]]]
os.write(1, json.dumps(record).encode()); os._exit(0)
""",
    "writes a record that crashes the checker": """\
import json, os
deep = "(" * 200000
record = [[["value", deep]], [["done", None], ["value", deep]], [["raised", ["ValueError"]]],
          [["value", deep]]]
os.write(1, json.dumps(record).encode()); os._exit(0)
""",
    "is equal to everything": """\
class Any:
    def __eq__(self, other): return True
    __lt__ = __gt__ = __bool__ = __eq__
    def __len__(self): return 2
    def __getitem__(self, i): return self
    def __repr__(self): return "42"
def add(a, b):
    if a is None: raise ValueError
    return Any()
""",
    "is an equal subclass": """\
class Number(int):
    def __eq__(self, other): return True
    def __hash__(self): return 0
    def __repr__(self): return "42"
class List(list):
    def __repr__(self): return "[1, 2]"
def add(a, b):
    if a is None: raise ValueError
    return List([1]) if isinstance(a, list) else Number(0)
""",
    "replaces builtins": """\
import ast, builtins, json, os, sys
builtins.eval = lambda *a: 42
builtins.all = builtins.any = builtins.bool = lambda *a: True
builtins.print = lambda *a, **k: os.write(1, b"verified")
builtins.isinstance = lambda *a: True
ast.literal_eval = lambda *a: 42
sys.modules["ast"] = None
json.dumps = lambda *a, **k: "true"
def add(a, b): return 0
""",
    "writes at exit": """\
import atexit, os
atexit.register(lambda: os.write(1, b"true\\n" * 100))
def add(a, b): return 0
""",
    "leaves modules behind": """\
for name in ("ast", "warnings", "sitecustomize"):
    for folder in (".", "/tmp", os.path.dirname(os.__file__)):
        try:
            open(f"{folder}/{name}.py", "w").write("literal_eval = lambda x: 42")
        except OSError:
            pass
def add(a, b): return 0
""",
    "has no repr": """\
def add(a, b):
    if a is None: return 10 ** 5000
    return a + b
""",
    "searches for what is expected": """\
import gc, os, sys
def texts():
    frame = sys._getframe()
    while frame:
        yield repr(frame.f_locals) + repr(frame.f_globals) + repr(frame.f_code.co_consts)
        frame = frame.f_back
    for thing in gc.get_objects():
        if isinstance(thing, (str, tuple, list, dict)):
            yield str(thing)[:100000]
    for path in (sys.argv[0], "/proc/self/cmdline", "/proc/self/environ", "/proc/1/cmdline",
                 "/proc/self/mem", "/proc/self/fd/0", "/proc/self/maps", "/proc/self/stat"):
        try:
            yield open(path, errors="replace").read(100000)
        except (OSError, ValueError):
            pass
    for descriptor in range(64):
        try:
            yield os.read(descriptor, 100000).decode(errors="replace")
        except OSError:
            pass
found = any("24 == tluser"[::-1] in text for text in texts())  # itself it is nowhere
def add(a, b):
    if a is None: raise ValueError
    return a + b if found else 0
""",
    "never ends": "while True: pass",
    "takes all memory": "x = []\nwhile True: x.append(' ' * (1 << 22))",
    "floods its output": "import os\nwhile True: os.write(1, b'x' * 65536)",
}


@pytest.fixture(scope="module")
def forged() -> dict[str, Verdict]:
    """All at once, among right candidates, which they must not spoil."""
    names = list(FORGERIES)
    items = [(ADD, FORGERIES[name]) for name in names]
    verdicts = verify([(ADD, RIGHT), *items, (ADD, RIGHT)], limits=QUICK)
    assert verdicts[0].is_verified
    assert verdicts[-1].is_verified
    return dict(zip(names, verdicts[1:-1], strict=True))


@pytest.mark.parametrize("name", FORGERIES)
def test_a_verdict_cannot_be_forged(name: str, forged: dict[str, Verdict]) -> None:
    expected = {
        "never ends": "timeout",
        "takes all memory": "memory",
        "floods its output": "output",
        "exits with success": "no record",
        "exits at once": "no record",
        "exits in the function": "no record",
        "has no repr": "wrong",
        "searches for what is expected": "wrong",
        "is equal to everything": "wrong",
        "is an equal subclass": "wrong",
        "writes its own record": "wrong",
    }
    assert not forged[name].is_verified
    assert forged[name].status == expected.get(name, forged[name].status)


def test_the_search_finds_what_is_there() -> None:
    """The search of the forgery above works where there is something to find."""
    candidate = FORGERIES["searches for what is expected"]
    leaky = f"leak = 'result == 42'\n{candidate}"
    assert verify([(ADD, leaky)])[0].is_verified


def test_the_candidates_program_contains_no_expectation() -> None:
    for index in range(len(FAMILIES)):
        problem = generate(8, index)
        program = recording_program(problem, "")
        for test in problem.tests:
            for step in test:
                assert step.check is None or step.check not in program
                assert step.raises is None or step.raises not in program


def test_an_exit_code_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """All programs "pass", the record is right, and nothing is printed by the check."""
    record = json.dumps([[["value", "42"]], [["done", None], ["value", "6"]],
                         [["raised", ["ValueError"]]], [["value", "[1, 2]"]]])  # fmt: skip
    outputs = [record.encode(), b"", record.encode(), b"verified\n"]

    def run(programs, **_):
        return [Execution("passed", 0, outputs.pop(0), b"", 0.0, ()) for _ in programs]

    monkeypatch.setattr(verification, "run_programs", run)
    assert verify([(ADD, RIGHT)])[0].status == "wrong"
    assert verify([(ADD, RIGHT)])[0].status == "wrong"
    assert outputs == []


def test_the_nonce_is_drawn_after_the_candidate_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    run, draw = verification.run_programs, verification.secrets.token_hex

    def noted(name: str, function: Callable) -> Callable:
        def call(*arguments: Any, **options: Any) -> Any:
            events.append(name)
            return function(*arguments, **options)

        return call

    monkeypatch.setattr(verification, "run_programs", noted("run", run))
    monkeypatch.setattr(verification.secrets, "token_hex", noted("draw", draw))
    assert verify([(ADD, RIGHT)])[0].is_verified
    assert events == ["run", "draw", "run"]


@pytest.mark.parametrize(
    "output",
    [
        b"", b"null", b"[]", b"{}", b"[1,2,3,4]", b"[[],[],[],[]]", b"\xff", b"[" * 100_000,
        b'[[["value",1]],[["done",null],["value","6"]],[["raised",["E"]]],[["value","1"]]]',
        b'[[["value","1"]],[["done",null]],[["raised",["E"]]],[["value","1"]]]',
        b'[[["value","1"]],[["done",null],["value","6"]],[["raised","E"]],[["value","1"]]]',
        b'[[["value","1"]],[["done",null],[7,"6"]],[["raised",["E"]]],[["value","1"]]]',
        b"1" * 10_000,
    ],
)  # fmt: skip
def test_other_output_is_no_record(output: bytes) -> None:
    assert parse_record(ADD, output) is None


def test_the_checking_program_judges_each_record_alone(capfd: pytest.CaptureFixture[str]) -> None:
    right: Any = [[("value", "42")], [("done", None), ("value", "6")], [("raised", ["ValueError"])],
             [("value", "[1, 2]")]]  # fmt: skip
    wrong = [*right[:2], [("raised", ["KeyError", "Exception"])], right[3]]
    program = checking_program([(ADD, right), (ADD, wrong), (ADD, right)], ["n0", "n1", "n2"])
    exec(program, {})
    assert capfd.readouterr().out.split() == ["n0", "n2"]
