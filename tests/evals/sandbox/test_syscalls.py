"""Every attack of `attacks.py` is refused, and the numbers of the calls are right."""

import re
from pathlib import Path

import pytest

from codepretrain.evals.sandbox import kernel
from codepretrain.evals.sandbox.run import run_programs
from codepretrain.evals.sandbox.syscalls import ALLOWED_CALLS, NEWEST_KNOWN_CALL
from tests.evals.sandbox import attacks
from tests.evals.sandbox.conftest import QUICK, granted, needs_linux, needs_x86_64, run_in

X86_HEADER = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
GENERIC_HEADER = Path("/usr/include/asm-generic/unistd.h")


def attack_programs(name: str, victim: int, outside: Path) -> dict[str, str]:
    """Returns program by expression, for one class of attacks."""
    expressions = getattr(attacks, name).strip().splitlines()
    targets = f"victim, outside = {victim}, {str(outside)!r}\n"
    return {line: f"{attacks.PRELUDE}{targets}attempt({line!r})" for line in expressions}


@needs_linux
@needs_x86_64
@pytest.mark.parametrize(
    "name", ["SIGNALS", "METADATA", "KERNEL_MEMORY", "FILES_OF_OTHERS", "PROCESSES", "MACHINE"]
)
def test_attacks_are_refused(name: str, victim: int, outside: Path) -> None:
    granted("seccomp")
    programs = attack_programs(name, victim, outside)
    executions = run_programs(list(programs.values()), limits=QUICK, required_layers=("seccomp",))
    answers = {
        expression: (execution.stdout or execution.stderr).decode()
        for expression, execution in zip(programs, executions, strict=True)
    }
    assert {line: answer for line, answer in answers.items() if answer != "EPERM\n"} == {}


@needs_linux
@needs_x86_64
def test_calls_newer_than_the_table_do_not_exist(victim: int, outside: Path) -> None:
    granted("seccomp")
    for expression, program in attack_programs("NEWER_CALLS", victim, outside).items():
        assert run_in(("limits", "seccomp"), program).stdout == b"ENOSYS\n", expression


MACHINE_CODE = """\
import ctypes, mmap
memory = mmap.mmap(-1, 4096, prot=7)
memory.write({code!r})
print(ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))())
"""


@needs_linux
@needs_x86_64
@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        (b"\xb8\x27\x00\x00\x00\x0f\x05\xc3", 0),  # getpid by syscall: the test runs machine code
        (b"\xb8\x14\x00\x00\x00\xcd\x80\xc3", -31),  # getpid by int 0x80, the 32-bit convention
        (b"\xb8\x27\x00\x00\x40\x0f\x05\xc3", -31),  # getpid by its x32 number
    ],
)
def test_other_calling_conventions_kill_the_program(code: bytes, exit_code: int) -> None:
    granted("seccomp")
    execution = run_in(("limits", "seccomp"), MACHINE_CODE.format(code=code))
    assert execution.exit_code == exit_code


@pytest.mark.skipif(not X86_HEADER.exists(), reason="no kernel headers here")
def test_the_numbers_are_those_of_the_kernels_headers() -> None:
    x86 = dict(re.findall(r"#define __NR_(\w+)\s+(\d+)", X86_HEADER.read_text()))
    text = GENERIC_HEADER.read_text()
    aarch64 = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text))
    aliases = dict(re.findall(r"#define __NR_(\w+)\s+__NR3264_(\w+)", text))
    for name, (first, second) in {**ALLOWED_CALLS, **kernel.NUMBERS}.items():
        assert int(x86[name]) == first <= NEWEST_KNOWN_CALL, name
        number = aarch64.get(name, aarch64.get(aliases.get(name, "")))
        assert (None if number is None else int(number)) == second, name
