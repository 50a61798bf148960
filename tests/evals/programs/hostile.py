"""Candidates that would pass without solving the problem, or do harm, and how each must be graded.

The problem is that of `conftest.py`: `add` must return the sum of its arguments.
"""

WRONG_ADD = "\ndef add(a, b): return 0\n"

# name: (source, reasons that are right)
FORGERIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "exits with success": ("import sys; sys.exit(0)", ("exited",)),
    "exits at once": ("import os; os._exit(0)", ("exited",)),
    "raises SystemExit": ("raise SystemExit", ("exited",)),
    "exits in the function": ("import os\ndef add(a, b): os._exit(0)", ("exited",)),
    "raises SystemExit in the function": ("def add(a, b): raise SystemExit(0)", ("exited",)),
    "raises StopIteration": ("def add(a, b): raise StopIteration", ("error",)),
    "raises KeyboardInterrupt": ("def add(a, b): raise KeyboardInterrupt", ("error",)),
    "raises AssertionError": ("def add(a, b): assert False", ("error",)),
    "prints a verdict": ('print(\'V["passed", null, ""]\', flush=True)' + WRONG_ADD, ("wrong",)),
    "writes a verdict to every descriptor": (
        """\
import os
def add(a, b):
    for descriptor in range(64):
        try:
            os.write(descriptor, b'V["passed", null, ""]\\n')
        except OSError:
            pass
    return 0
""",
        ("error",),  # what it wrote is no answer to a request
    ),
    "writes verdicts before it is asked": (
        """\
import os
for descriptor in range(64):
    try:
        os.write(descriptor, b'["loaded", ["add"]]\\nV["passed", null, ""]\\n')
    except OSError:
        pass
""",
        ("error",),
    ),
    "answers true to everything": (
        """\
import os
for descriptor in range(3, 16):
    try:
        os.write(descriptor, b'["loaded", ["add"]]\\n' + b'["value", true, null]\\n' * 100)
    except OSError:
        pass
""",
        ("error", "wrong"),
    ),
    "asks the other program to run code": (
        """\
import os
attack = b'["value", {"builtin": "eval"}, null]\\n' * 9
for descriptor in range(3, 16):
    try:
        os.write(descriptor, b'["loaded", ["add"]]\\n' + attack)
    except OSError:
        pass
""",
        ("error",),
    ),
    "is equal to everything": (
        """\
class Any:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    __lt__ = __le__ = __gt__ = __ge__ = __bool__ = __contains__ = __eq__
    def __hash__(self): return 0
    def __repr__(self): return "42"
def add(a, b): return Any()
""",
        ("wrong",),
    ),
    "is a subclass that is equal to everything": (
        """\
class Number(int):
    def __eq__(self, other): return True
    def __hash__(self): return 0
class List(list):
    def __eq__(self, other): return True
def add(a, b): return List() if isinstance(a, list) else Number(0)
""",
        ("wrong",),
    ),
    "lies about its class": (
        """\
class Liar:
    __class__ = int
    def __index__(self): return 42
    def __eq__(self, other): return True
def add(a, b): return Liar()
""",
        ("error", "wrong"),
    ),
    "replaces builtins": (
        """\
import builtins, json, os, sys
builtins.AssertionError = type("Quiet", (Exception,), {})
builtins.isinstance = builtins.all = builtins.any = builtins.bool = lambda *a: True
builtins.exec = builtins.eval = builtins.compile = lambda *a, **k: None
builtins.len = lambda x: 42
builtins.list = builtins.type
"""
        + WRONG_ADD,
        ("wrong", "error", "exited", "killed"),
    ),
    "replaces the runner": (
        """\
import json, sys
for name, module in list(sys.modules.items()):
    if "programs" in name:
        for entry in list(vars(module)):
            if not entry.startswith("__"):
                setattr(module, entry, lambda *a, **k: ["value", True, None])
json.dumps = lambda *a, **k: 'V["passed", null, ""]'
"""
        + WRONG_ADD,
        ("wrong", "error", "exited"),
    ),
    "defines check": (
        "def check(candidate): pass\nclass AssertionError(Exception): pass" + WRONG_ADD,
        ("wrong",),
    ),
    "patches unittest and pytest": (
        """\
import unittest, unittest.mock, sys
unittest.TestCase.assertEqual = lambda *a: None
unittest.main = lambda *a: None
sys.excepthook = lambda *a: None
sys.settrace(lambda *a: None)
"""
        + WRONG_ADD,
        ("wrong",),
    ),
    "writes at exit": (
        """\
import atexit, os
atexit.register(lambda: [os.write(d, b'V["passed", null, ""]\\n') for d in range(3, 9)])
raise SystemExit
""",
        ("exited",),
    ),
    "answers from a signal handler": (
        """\
import os, signal
def write(*_):
    for descriptor in range(3, 9):
        try:
            os.write(descriptor, b'V["passed", null, ""]\\n')
        except OSError:
            pass
signal.signal(signal.SIGALRM, write)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
"""
        + WRONG_ADD,
        ("wrong", "error", "exited"),
    ),
    "leaves modules behind": (
        """\
import os
for name in ("json", "codepretrain", "sitecustomize", "builtins"):
    for folder in (".", "/tmp", "/sandbox", os.path.dirname(os.__file__)):
        try:
            open(f"{folder}/{name}.py", "w").write("raise SystemExit(0)")
        except OSError:
            pass
"""
        + WRONG_ADD,
        ("wrong",),
    ),
    "searches for what is expected": (
        """\
import gc, os, sys
def texts():
    frame = sys._getframe()
    while frame:
        yield repr(frame.f_locals) + repr(frame.f_globals) + repr(frame.f_code.co_consts)
        frame = frame.f_back
    for thing in gc.get_objects():
        if isinstance(thing, (str, tuple, list, dict)):
            yield str(thing)[:100000]
    for number in ("self", "1", "2", str(os.getppid())):
        for name in ("cmdline", "environ", "mem", "maps", "fd/0", "root/sandbox/program.py"):
            try:
                yield open(f"/proc/{number}/{name}", errors="replace").read(100000)
            except (OSError, ValueError):
                pass
    yield open(sys.argv[0], errors="replace").read()
word = "candidate(20" + ", 22) == 4"  # itself it is nowhere
found = any(word + "2" in text for text in texts())
def add(a, b): return a + b if found else 0
""",
        ("wrong",),
    ),
    "kills its parent and all others": (
        """\
import os, signal
for victim in (os.getppid(), 1, -1, 0):
    try:
        os.kill(victim, signal.SIGKILL)
    except OSError:
        pass
"""
        + WRONG_ADD,
        ("wrong", "killed"),
    ),
    "calls the kernel by ctypes": (
        """\
import ctypes
libc = ctypes.CDLL(None)
for number in (57, 56, 58, 62, 101, 310, 311, 434, 438):
    libc.syscall(number, 1, 9, 0, 0, 0)
libc.ptrace(16, 1, 0, 0)
"""
        + WRONG_ADD,
        ("wrong", "killed"),
    ),
    "names an exception that cannot be written": (
        "E = type('\\ud800' * 100000, (Exception,), {})\ndef add(a, b): raise E('\\udfff')",
        ("error",),
    ),
    "sends a value nested without end": (
        "def add(a, b):\n    x = []\n    x.append(x)\n    return x",
        ("wrong",),
    ),
    "sends a raw value nested deeply": (
        """\
import os
deep = b'["value", ' + b'[' * 100000 + b']' * 100000 + b', null]\\n'
def add(a, b):
    for descriptor in range(3, 9):
        try:
            os.write(descriptor, deep)
        except OSError:
            pass
    return 0
""",
        ("error",),
    ),
    "sends an object that raises whatever is asked": (
        """\
class Trap:
    def __getattribute__(self, name): raise SystemExit(0)
    def __iter__(self): raise SystemExit(0)
    def __bool__(self): raise SystemExit(0)
def add(a, b): return Trap()
""",
        ("wrong", "exited"),
    ),
}

# What only wastes: each must end, at a limit, with its reason.
WASTE: dict[str, tuple[str, tuple[str, ...]]] = {
    "never ends": ("while True: pass", ("timeout",)),
    "never ends in the function": ("def add(a, b):\n    while True: pass", ("timeout",)),
    "sleeps": ("import time\ndef add(a, b): time.sleep(600)", ("timeout",)),
    "ignores signals": (
        "import signal\nfor n in range(1, 65):\n    try: signal.signal(n, signal.SIG_IGN)\n"
        "    except (OSError, ValueError): pass\nwhile True: pass",
        ("timeout",),
    ),
    "takes all memory": ("x = []\nwhile True: x.append(' ' * (1 << 22))", ("memory",)),
    "takes all memory in the function": ("def add(a, b): return 'x' * (1 << 30)", ("memory",)),
    "returns a gigabyte in pieces": (
        "def add(a, b): return [' ' * 1000] * (1 << 20)",
        ("memory", "output"),
    ),
    "prints a gigabyte": ("for _ in range(1 << 14): print('x' * (1 << 16))", ("output",)),
    "writes a gigabyte": ("import os\nwhile True: os.write(1, b'x' * 65536)", ("output",)),
    "floods the channel": ("import os\nwhile True: os.write(4, b'x' * 65536)", ("output",)),
    "fills the disk": (
        "i = 0\nwhile True:\n    open(str(i), 'wb').write(b'x' * (1 << 19)); i += 1",
        ("error",),
    ),
    "starts processes": ("import os\nwhile True: os.fork()", ("error",)),
    "starts a daemon": (
        "import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'while 1: pass'])",
        ("error",),
    ),
    "starts threads": (
        "import threading\nwhile True: threading.Thread(target=print).start()",
        ("error",),
    ),
    "crashes": ("import ctypes; ctypes.string_at(0)", ("killed",)),
    "crashes in the function": ("import ctypes\ndef add(a, b): ctypes.string_at(0)", ("killed",)),
    "recurses without end": ("def add(a, b): return add(a, b)", ("error",)),
    "compiles without end": ("x = " + "(" * 5000 + ")" * 5000, ("invalid",)),
    "makes an integer without end": ("def add(a, b): return 10 ** 10 ** 8", ("timeout", "output")),
}
