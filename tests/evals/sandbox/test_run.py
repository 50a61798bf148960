"""How programs end, what limits they meet, and what harmless ones may do."""

import json
import signal
from pathlib import Path

import pytest

from codepretrain.evals.sandbox.run import (
    SandboxLimits,
    require_layers,
    run_program,
    run_programs,
    sandbox_isolation,
)
from tests.evals.sandbox.conftest import QUICK, error_of, granted, needs_linux, run_in


def test_results_come_in_the_order_of_the_programs() -> None:
    programs = [f"import time; time.sleep({0.2 * (i == 0)}); print({i})" for i in range(6)]
    executions = run_programs(programs, num_workers=3)
    assert [execution.stdout for execution in executions] == [b"%d\n" % i for i in range(6)]


@pytest.mark.parametrize(
    ("program", "status", "exit_code"),
    [
        ("pass", "passed", 0),
        ("assert 1 == 2, 'on\\ntwo lines'", "failed", 1),
        ("raise ValueError('AssertionError')", "error", 1),
        ("import sys; sys.exit(7)", "error", 7),
        ("this is no Python", "error", 1),
        ("x = '\\ud800'; print(len(x))", "passed", 0),
        ("\ud800", "error", 1),
        ("import os; os.close(1); os.close(2)", "passed", 0),
        ("import ctypes; ctypes.string_at(0)", "error", -signal.SIGSEGV),
        (f"x = {'1' * 300_000!r}; print(len(x))", "passed", 0),  # more than a pipe holds
    ],
)
def test_how_a_program_ended(program: str, status: str, exit_code: int) -> None:
    execution = run_program(program)
    assert (execution.status, execution.exit_code) == (status, exit_code)


HARMLESS = {
    "imports": """\
import bisect, collections, copy, csv, dataclasses, datetime, decimal, enum, fractions
import functools, hashlib, heapq, inspect, io, itertools, json, math, operator
import pathlib, queue, random, re, statistics, string, struct, subprocess, textwrap
import threading, time, typing, unittest, uuid, warnings, multiprocessing
import concurrent.futures, asyncio, socket, sqlite3, zlib, logging, pickle, ctypes
""",
    "numbers": """\
import math, decimal, fractions
assert math.factorial(2002) % 2003 == 2002
assert str(decimal.Decimal(2).sqrt()).startswith('1.41421356')
assert fractions.Fraction(1, 3) + fractions.Fraction(1, 6) == fractions.Fraction(1, 2)
assert 3 ** 5000 % 7 == pow(3, 5000, 7)
""",
    "recursion": """\
import sys, functools
sys.setrecursionlimit(20000)
@functools.lru_cache(None)
def f(n): return n if n < 2 else f(n - 1) + f(n - 2)
assert f(1000) % 10 == 5
""",
    "data": """\
import collections, heapq, json, re, dataclasses, copy, hashlib
assert collections.Counter('abca').most_common(1) == [('a', 2)]
assert heapq.nsmallest(2, [3, 1, 2]) == [1, 2]
assert json.loads(json.dumps({'a': [1, None]})) == {'a': [1, None]}
assert re.sub(r'(\\w+) (\\w+)', r'\\2 \\1', 'a b') == 'b a'
@dataclasses.dataclass
class P:
    x: int = 0
assert copy.deepcopy(P(3)) == P(3)
assert hashlib.md5(b'x').hexdigest() == '9dd4e461268c8034f5c8564e155c67a6'
""",
    "random": """\
import os, random, secrets
random.seed(0)
assert random.random() == 0.8444218515250481
assert len(os.urandom(8)) == 8 and secrets.token_hex(4)
""",
    "time": """\
import datetime, time
assert datetime.date(2024, 2, 29).weekday() == 3
time.sleep(0.01)
assert time.monotonic() > 0 and time.process_time() >= 0
assert time.localtime(0).tm_hour == 0
""",
    "files": """\
import os, tempfile, shutil, pathlib
with tempfile.TemporaryDirectory() as d:
    p = pathlib.Path(d, 'a'); p.write_text('x')
    shutil.copyfile(p, 'b'); os.rename('b', 'c'); os.mkdir('e'); os.rmdir('e')
with tempfile.NamedTemporaryFile('w+') as f:
    f.write('x'); f.seek(0); assert f.read() == 'x'
with open('c', 'r+') as f: f.truncate(0)
assert os.path.getsize('c') == 0
assert sorted(os.listdir()) == ['c']; os.remove('c')
open(os.devnull, 'w').write('x')
""",
    "signals": """\
import signal
seen = []
signal.signal(signal.SIGALRM, lambda *a: seen.append(1))
signal.setitimer(signal.ITIMER_REAL, 0.02)
signal.pause()
assert seen == [1]
""",
    "locks": """\
import threading, queue
lock = threading.RLock()
with lock, lock: pass
q = queue.Queue(); q.put(1); assert q.get() == 1
assert threading.Lock().acquire()
assert not threading.Event().wait(0.01)
""",
    "generators": """\
def g():
    x = yield 1
    yield x
i = g()
assert (next(i), i.send(2)) == (1, 2)
async def a(): return 5
try: a().send(None)
except StopIteration as e: assert e.value == 5
""",
    "memory": """\
x = [0] * 5_000_000; y = bytearray(50_000_000); del x, y
z = 'a' * 10_000_000
""",
    "input": """\
import sys
assert sys.stdin.read() == '' and not sys.stdin.isatty()
try: input()
except EOFError: pass
""",
}


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless_programs_run(name: str) -> None:
    execution = run_program(HARMLESS[name], required_layers=())
    assert (execution.status, execution.stderr) == ("passed", b"")


def test_a_program_sees_no_input_no_environment_no_files_and_no_packages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    execution = run_program(
        "import json, os, sys\n"
        "print(json.dumps([sorted(os.environ), os.listdir(), sys.stdin.read(), sys.path]))"
    )
    environment, files, stdin, path = json.loads(execution.stdout)
    assert set(environment) <= {"PYTHONHASHSEED", "LC_CTYPE"}
    assert (files, stdin) == ([], "")
    assert not [entry for entry in path if "site-packages" in entry or "sandbox" in entry]


def test_sets_print_in_the_same_order_each_time() -> None:
    program = "print({word for word in 'the quick brown fox jumps over the lazy dog'.split()})"
    assert run_program(program).stdout == run_program(program).stdout


@pytest.mark.parametrize(
    "program",
    [
        "time.sleep(60)",
        "os.close(1); os.close(2); time.sleep(60)",
        "os.closerange(0, 64); time.sleep(60)",
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: pass",
        "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65)); time.sleep(60)",
    ],
)
def test_time_is_limited_on_the_wall(program: str) -> None:
    limits = SandboxLimits(wall_s=0.5)
    execution = run_program(f"import os, signal, time\n{program}", limits=limits)
    assert (execution.status, execution.exit_code) == ("timeout", -signal.SIGKILL)


@pytest.mark.parametrize("handler", ["SIG_DFL", "SIG_IGN"])
def test_time_is_limited_on_the_cpu(handler: str) -> None:
    program = f"import signal; signal.signal(signal.SIGXCPU, signal.{handler})\nwhile True: pass"
    execution = run_program(program, limits=SandboxLimits(wall_s=60.0, cpu_s=1))
    assert execution.status == "timeout"
    assert execution.exit_code in (-signal.SIGKILL, -signal.SIGXCPU)


@pytest.mark.parametrize(
    "program",
    ["x = bytearray(1 << 30)", "x = []\nwhile True: x.append(' ' * (1 << 20))"],
)
def test_memory_is_limited(program: str) -> None:
    assert run_program(program, limits=QUICK).status == "memory"


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_output_is_limited(stream: str) -> None:
    limits = SandboxLimits(wall_s=10.0, output_bytes=1000)
    execution = run_program(
        f"import sys\nwhile True: print('x' * 100, file=sys.{stream})", limits=limits
    )
    assert execution.status == "output"
    assert len(getattr(execution, stream)) == 1000


def test_the_size_of_a_file_is_limited() -> None:
    execution = run_program("open('x', 'wb').write(b'x' * (2 << 20))", limits=QUICK)
    assert "File too large" in error_of(execution)
    assert run_program("open('x', 'w').write('a'); print(open('x').read())").stdout == b"a\n"


def test_the_layers_in_force_are_recorded() -> None:
    execution = run_in(("limits",), "pass")
    assert execution.isolation == ("limits",)
    assert "limits" in sandbox_isolation().granted


def test_a_required_layer_that_is_not_applied_is_refused(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    program = f"open({str(marker)!r}, 'w')"
    with pytest.raises(ValueError, match=r"not among those to apply: \['landlock'\]"):
        run_program(program, layers=("limits",), required_layers=("limits", "landlock"))
    assert not marker.exists()


def test_an_interpreter_that_cannot_start_is_our_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codepretrain.evals.sandbox.launch._ROOT", Path("/nowhere"))
    with pytest.raises(RuntimeError, match=r"(?s)could not be set up: .*No module named"):
        run_program("pass")


@needs_linux
def test_granted_layers_satisfy_the_requirement() -> None:
    require_layers(granted("limits"), option="x")
