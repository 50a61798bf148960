"""What a program finds in its own file system, and what it can do there."""

import os
import site
import sys
from pathlib import Path

import pytest

from codepretrain.evals.sandbox.interpreter_files import interpreter_files
from codepretrain.evals.sandbox.run import SandboxLimits, run_program, sandbox_isolation
from tests.evals.sandbox.conftest import QUICK, error_of, granted, needs_linux, run_in

pytestmark = needs_linux
NAMESPACES_ALONE = ("limits", "namespaces")


def printed(program: str, *layers: str) -> list[str]:
    layers = layers or NAMESPACES_ALONE
    granted(*layers)
    execution = run_in(layers, program)
    assert execution.status == "passed", execution.stderr.decode()
    return execution.stdout.decode().split()


def test_nothing_of_the_host_is_there() -> None:
    """Not even with root's own rights over files, as no other layer is in force."""
    program = (
        "import os\n"
        "top = {entry.split('/')[1] for entry in {readable!r}} | {'sandbox', 'lib', 'lib64'}\n"
        "assert set(os.listdir('/')) <= top, os.listdir('/')\n"
        "print(*os.listdir('/sandbox'))\n"
        "print(*[p for p in ('/proc', '/sys', '/tmp', '/home', '/etc/passwd', '/bin/sh', "
        "'/usr/share', '/usr/bin/env', '/run', '/var') if os.path.lexists(p)])"
    )
    readable = interpreter_files().readable
    found = printed(program.replace("{readable!r}", repr(readable)))
    assert set(found) == {"empty", "program.py", "stdin", "work"}


def test_files_outside_do_not_exist(outside: Path) -> None:
    assert printed(f"import os; print(os.path.lexists({str(outside)!r}))") == ["False"]


def test_installed_packages_are_hidden() -> None:
    folders = [path for path in site.getsitepackages([sys.base_prefix]) if os.path.isdir(path)]
    program = f"import os\nfor p in {folders!r}:\n    if os.path.isdir(p): print(*os.listdir(p))"
    assert printed(program) == []


@pytest.mark.parametrize(
    "action",
    [
        "open('/x', 'w')",
        "open('/sandbox/x', 'w')",
        "open(__file__, 'w')",
        "os.remove(__file__)",
        "os.chmod(__file__, 0o777)",
        "os.rename('/sandbox/work', '/sandbox/other')",
        "os.mkdir('/usr/x')",
        "open(os.__file__, 'r+')",
        "os.chmod(os.__file__, 0o644)",
        "os.utime(os.__file__)",
        "os.setxattr(os.__file__, 'user.x', b'1')",
        "os.mknod('/sandbox/work/device', 0o20666, 259)",
        "open('/sandbox/stdin', 'w')",
        "os.execv('/sandbox/work/script', ['script'])",
    ],
)
def test_only_the_working_directory_is_written(action: str) -> None:
    granted("namespaces")
    program = (
        "import os, sys\nwith open('script', 'w') as file: file.write('#!' + sys.executable)\n"
        f"os.chmod('script', 0o755)\n{action}"
    )
    execution = run_in(NAMESPACES_ALONE, program)
    assert error_of(execution).startswith(("OSError: [Errno 30]", "PermissionError"))


def test_the_program_is_the_only_process_and_is_nobody() -> None:
    program = (
        "import os\nprint(os.getpid(), os.getppid(), *os.getresuid(), *os.getresgid(), "
        "os.uname().nodename)"
    )
    assert printed(program) == ["1", "0", *["65534"] * 6, "sandbox"]


def test_a_file_of_the_evaluators_user_is_not_the_programs_own() -> None:
    """Of root's files the program is not the owner either: root becomes nobody outside as well."""
    granted(*NAMESPACES_ALONE)
    path = interpreter_files().interpreter
    if os.stat(path).st_uid == os.getuid() != 0:
        pytest.skip("without root the program keeps the user outside, and owns the interpreter")
    assert printed(f"import os; print(os.stat({path!r}).st_uid, os.getuid())") == ["65534"] * 2
    program = f"import fcntl, os\nf = open({path!r})\ntry: os.fchmod(f.fileno(), 0o755)\n"
    assert printed(program + "except OSError as error: print(error.errno)") == ["30"]


def test_no_signal_reaches_a_process_outside(victim: int) -> None:
    program = (
        "import fcntl, os\n"
        f"for send in (lambda: os.kill({victim}, 9), "
        f"lambda: fcntl.fcntl(1, fcntl.F_SETOWN, {victim})):\n"
        "    try: send()\n"
        "    except ProcessLookupError: print('nobody')"
    )
    assert printed(program) == ["nobody", "nobody"]


def test_standard_input_is_not_the_hosts() -> None:
    program = "import os, stat; s = os.fstat(0); print(stat.S_ISREG(s.st_mode), s.st_size)"
    assert printed(program) == ["True", "0"]


def test_only_the_standard_descriptors_are_open() -> None:
    program = (
        "import os\nfor i in range(64):\n    try: os.fstat(i); print(i)\n    except OSError: pass"
    )
    assert printed(program) == ["0", "1", "2"]
    assert printed(program, *sandbox_isolation().granted) == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("for i in range(9): open(str(i), 'wb').write(b'x' * (1 << 19))", "No space left"),
        ("import os\nfor i in range(5000): os.mkdir(str(i))", "No space left"),
        ("import os\nwhile True:\n    os.mkdir('d'); os.chdir('d')", "No space left"),
        (
            "import os\nwhile True:\n    f = os.open('f', os.O_CREAT | os.O_WRONLY)\n"
            "    os.unlink('f'); os.write(f, b'x' * (1 << 19))",
            "No space left",
        ),
    ],
)
def test_all_files_together_are_limited(program: str, message: str) -> None:
    granted("namespaces")
    limits = SandboxLimits(file_bytes=1 << 20, disk_bytes=2 << 20)
    execution = run_program(program, limits=limits, required_layers=("namespaces",))
    assert message in error_of(execution)


def test_there_is_no_network() -> None:
    granted("namespaces")
    program = "import socket; socket.create_connection(('127.0.0.1', 9), timeout=1)"
    execution = run_program(
        program, limits=QUICK, layers=NAMESPACES_ALONE, required_layers=NAMESPACES_ALONE
    )
    assert error_of(execution).startswith("OSError: [Errno 101] Network is unreach")
