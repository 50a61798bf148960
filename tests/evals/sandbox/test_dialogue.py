"""A program that is asked and answers, and all the ways in which it may not."""

import os
import signal

import pytest

from codepretrain.evals.sandbox.dialogue import dialogue
from codepretrain.evals.sandbox.run import SandboxLimits
from tests.evals.sandbox.conftest import QUICK

ECHO = """\
import sys
for line in sys.stdin:
    print(line.strip().upper(), flush=True)
"""


def test_a_program_answers_line_by_line() -> None:
    limits = SandboxLimits(wall_s=20.0, output_bytes=1 << 20)
    with dialogue(ECHO, limits=limits) as asked:
        assert [asked.ask(line) for line in (b"a", b"b c", b"x" * 300_000)] == [
            b"A",
            b"B C",
            b"X" * 300_000,  # more than a pipe holds
        ]
        assert "seccomp" in asked.isolation


def test_a_program_may_speak_first_and_several_lines_at_once() -> None:
    with dialogue("print('1\\n2\\n3', flush=True)", limits=QUICK) as asked:
        assert [asked.ask() for _ in range(4)] == [b"1", b"2", b"3", None]
        assert (asked.end().status, asked.end().exit_code) == ("passed", 0)


@pytest.mark.parametrize(
    ("program", "status", "exit_code"),
    [
        ("raise SystemExit(3)", "error", 3),
        ("import os; os._exit(0)", "passed", 0),
        ("print('no newline', end='')", "passed", 0),
        ("import ctypes; ctypes.string_at(0)", "error", -signal.SIGSEGV),
        ("x = bytearray(1 << 30)", "memory", 1),
        ("while True: pass", "timeout", None),
        ("import time; time.sleep(60)", "timeout", -signal.SIGKILL),
        ("import os, time; os.close(0); os.close(1); time.sleep(60)", "timeout", -signal.SIGKILL),
        ("import os\nwhile True: os.write(1, b'x' * 65536)", "output", -signal.SIGKILL),
        ("import os\nwhile True: os.write(2, b'x' * 65536)", "output", -signal.SIGKILL),
    ],
)
def test_a_program_that_does_not_answer(program: str, status: str, exit_code: int | None) -> None:
    limits = SandboxLimits(wall_s=5.0, cpu_s=1, memory_bytes=256 << 20, output_bytes=1 << 20)
    with dialogue(program, limits=limits) as asked:
        assert asked.ask(b"question " * 100_000) is None
        assert asked.end().status == status
        assert exit_code is None or asked.end().exit_code == exit_code


def test_answers_are_limited_together() -> None:
    limits = SandboxLimits(wall_s=10.0, output_bytes=1000)
    with dialogue(ECHO, limits=limits) as asked:
        assert asked.ask(b"x" * 600)
        assert asked.ask(b"x" * 600) is None
        assert asked.end().status == "output"


def test_a_dialogue_leaves_no_process_and_no_descriptor() -> None:
    before = len(os.listdir("/dev/fd"))
    with dialogue("import time; time.sleep(600)", limits=QUICK) as asked:
        assert asked.isolation
    with (
        pytest.raises(ValueError, match="not among those to apply"),
        dialogue("pass", layers=("limits",)),
    ):
        pass
    assert len(os.listdir("/dev/fd")) == before


def test_the_program_holds_the_only_reading_end_of_its_input() -> None:
    """Or a question to a program that has ended would wait for the time limit."""
    with dialogue("import os; os.write(1, b'x\\n')", limits=QUICK) as asked:
        assert asked.ask() == b"x"
        assert asked.ask() is None
        with pytest.raises(BrokenPipeError):
            os.write(asked._input, b"x")
