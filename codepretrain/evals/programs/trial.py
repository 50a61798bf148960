"""The two programs of a trial: a candidate and the tests that it has to pass.

    evaluator:  candidate program  ──"loaded"──►  starts the testing program
                candidate program  ◄──request───  testing program
                candidate program  ───answer───►  testing program
                                    …
                                   ◄──verdict───  testing program

Each runs in a sandbox of its own, and the evaluator passes the lines on. The candidate's process
never has the tests, an expected value or a way to the verdict. The process of the tests runs code
of the benchmark alone, and gets data from the candidate, no code.
"""

import functools
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

from codepretrain.evals.programs.inside import candidate, channel, tester, values


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A candidate program and its tests.

    Attributes:
      source: the candidate, a Python module.
      setup: what the tests need of the benchmark's own: imports, functions of the prompt.
      tests: Python statements; they pass if none of them raises an exception.
      names: what the tests use of the candidate. They get nothing else of it.
    """

    source: str
    setup: str
    tests: str
    names: Sequence[str]


def candidate_program(trial: Trial) -> str:
    """Returns the program that runs the candidate and answers requests about it."""
    return _program(candidate, trial.source, [*trial.names])


def testing_program(trial: Trial, defined: Sequence[str]) -> str:
    """Returns the program that runs the tests.

    Args:
      defined: the names of `trial.names` that the candidate defines.
    """
    return _program(tester, trial.setup, trial.tests, [*trial.names], [*defined])


def _program(module: ModuleType, *arguments: object) -> str:
    """Returns a program that calls `main` of a module of `inside`."""
    return f"{_runtime(module)}sys.modules[{module.__name__!r}].main(*{arguments!r})\n"


_LOADER = """\
import sys
for name in {packages!r}:
    sys.modules[name] = type(sys)(name)
for name, text in {modules!r}:
    sys.modules[name] = type(sys)(name)
    exec(compile(text, name, "exec"), sys.modules[name].__dict__)
"""


@functools.cache
def _runtime(module: ModuleType) -> str:
    """Returns code that makes a module of `inside` importable: the sandbox has no packages."""
    parts = module.__name__.split(".")
    packages = [".".join(parts[: i + 1]) for i in range(len(parts) - 1)]
    modules = [(m.__name__, inspect.getsource(m)) for m in (values, channel, module)]
    return _LOADER.format(packages=packages, modules=modules)
