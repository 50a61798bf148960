"""What a machine does not grant is refused, unless the user says so."""

import re
import subprocess
import sys

import pytest

from codepretrain.errors import UserError
from codepretrain.evals.sandbox.layers import (
    LAYERS,
    REQUIRED_LAYERS,
    missing_layers,
    parse_layers,
)
from tests.conftest import ROOT
from tests.evals.sandbox.conftest import granted, needs_linux, needs_x86_64


def test_layers_are_named_in_a_list() -> None:
    assert parse_layers("seccomp, limits", path="x") == ("limits", "seccomp")
    assert parse_layers(",".join(LAYERS), path="x") == tuple(LAYERS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("limits,secomp", "x: no sandbox layer 'secomp'; did you mean seccomp?"),
        ("", "x: expected at least 'limits', got ''"),
        ("seccomp", "x: expected at least 'limits', got 'seccomp'"),
    ],
)
def test_mistakes_in_the_list_are_named(text: str, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        parse_layers(text, path="x")


def test_missing_layers_that_are_not_required_are_no_error() -> None:
    assert missing_layers({"memory_cgroup": "read-only"}, REQUIRED_LAYERS, option="x") is None


# Checks as an evaluator does, on a machine whose kernel or container refuses a system call: one of
# this number, with any of these bits in its first argument, fails with this error.
REFUSING = """\
import ctypes, struct
number, flags, error = {number}, {flags}, {error}
code = [(0x20, 0, 0, 0), (0x15, 0, 3, number), (0x20, 0, 0, 16)]
code += [(0x45, 0, 1, flags) if flags else (0x05, 0, 0, 0)]
code += [(0x06, 0, 0, 0x50000 | error), (0x06, 0, 0, 0x7fff0000)]
packed = b"".join(struct.pack("<HBBI", *line) for line in code)
class Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(Program(len(code), packed)), 0, 0) == 0

from codepretrain.errors import UserError
from codepretrain.evals.sandbox.run import require_layers, run_program, run_programs
from codepretrain.evals.sandbox.layers import REQUIRED_LAYERS, parse_layers
option = "config.evals.x.options.sandbox_layers"
for attempt in (
    lambda: require_layers(REQUIRED_LAYERS, option=option),
    lambda: run_program("print('it ran')"),
    lambda: run_programs(["print('it ran')"]),
):
    try:
        print(attempt())
    except UserError as error:
        print(f"refused: {{error}}")
weaker = parse_layers({weaker!r}, path=option)
require_layers(weaker, option=option)
print(run_programs(["print('weaker')"], required_layers=weaker)[0])
"""
CASES = {
    "landlock": (444, 0, 38, "limits,namespaces,capabilities,seccomp"),
    "namespaces": (56, 0x10000000, 1, "limits,capabilities,landlock,seccomp"),
    "mounts": (428, 0, 1, "limits,capabilities,landlock,seccomp"),
}


@needs_linux
@needs_x86_64
@pytest.mark.parametrize("case", CASES)
def test_a_layer_that_is_not_granted_is_refused(case: str) -> None:
    layer = "namespaces" if case == "mounts" else case
    granted(*REQUIRED_LAYERS)
    number, flags, error, weaker = CASES[case]
    script = REFUSING.format(number=number, flags=flags, error=error, weaker=weaker)
    result = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert result.returncode == 0, result.stderr
    refused = result.stdout.splitlines()[:3]
    assert all(line.startswith("refused: ") for line in refused), result.stdout
    assert f"layers that this machine does not grant: {layer} (" in refused[0]
    assert f"config.evals.x.options.sandbox_layers='{weaker}'" in refused[0]
    assert "it ran" not in result.stdout
    assert "stdout=b'weaker\\n'" in result.stdout
    in_force = result.stdout.rpartition("isolation=")[2]
    assert layer not in in_force
    assert all(name in in_force for name in weaker.split(","))
