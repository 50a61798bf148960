"""Grades trials: runs the two programs of each one, several at a time, and says how it ended.

What is guaranteed where the layers `namespaces` and `seccomp` are in force, whatever a candidate
does: it is graded "passed" only if every statement of the tests was executed in a process that the
candidate does not share and cannot reach, on values that the candidate sent, and raised nothing.
Printing, exiting, replacing built-ins, redefining comparisons, or killing processes make no pass.

What is not: that the candidate computed the values in the way that its text suggests. It sees the
inputs of the tests as it is called with them, and it may change mutable ones, as in one process.
"""

import json
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from codepretrain.errors import UserError
from codepretrain.evals.programs.trial import Trial, candidate_program, testing_program
from codepretrain.evals.sandbox.dialogue import Dialogue, dialogue
from codepretrain.evals.sandbox.layers import LAYERS, REQUIRED_LAYERS
from codepretrain.evals.sandbox.run import Execution, SandboxLimits

# Increase it with every change that can change a grade, in this file, `trial.py` or `inside/`.
GRADER_VERSION = "1"

# Generous on the wall, so that a busy machine changes no grade; what counts is the CPU time.
LIMITS = SandboxLimits(wall_s=60.0, cpu_s=5, memory_bytes=512 << 20, output_bytes=1 << 20)

_MAX_TEXT = 200

REASONS = {
    "passed": "all tests passed",
    "wrong": "an assertion of the tests failed",
    "invalid": "it is no Python: a SyntaxError, or what else the compiler raises",
    "error": "an exception ended it or its tests; `exception` names it",
    "timeout": "it reached the limit of CPU time, or of time on the wall",
    "memory": "it reached the limit of memory",
    "output": "it wrote more than the limit",
    "exited": "it ended by itself before the tests did",
    "killed": "a signal ended it; `exception` names it",
}


@dataclass(frozen=True)
class Grade:
    """How a trial ended.

    Attributes:
      reason: one of `REASONS`.
      exception: the class of the exception, or the signal.
      text: the exception's, at most 200 characters. For a reader only.
      isolation: the sandbox's layers that were in force for both programs.
    """

    reason: str
    exception: str | None
    text: str
    isolation: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return self.reason == "passed"

    @property
    def runs(self) -> bool:
        """Whether the tests got values from it: they passed, or one of them failed."""
        return self.reason in ("passed", "wrong")

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"isolation": list(self.isolation)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Grade":
        return cls(**value | {"isolation": tuple(value["isolation"])})


def grade_trials(
    trials: Sequence[Trial],
    *,
    limits: SandboxLimits = LIMITS,
    required_layers: Sequence[str] = REQUIRED_LAYERS,
    layers: Sequence[str] = tuple(LAYERS),
    num_workers: int,
) -> list[Grade]:
    """Returns the grade of each trial; `num_workers` trials run at a time."""

    def graded(trial: Trial) -> Grade:
        return grade(trial, limits=limits, required_layers=required_layers, layers=layers)

    with ThreadPoolExecutor(num_workers) as pool:
        return list(pool.map(graded, trials))


def grade(
    trial: Trial,
    *,
    limits: SandboxLimits = LIMITS,
    required_layers: Sequence[str] = REQUIRED_LAYERS,
    layers: Sequence[str] = tuple(LAYERS),
) -> Grade:
    """Returns how a trial ended.

    Args:
      trial: the candidate and its tests.
      limits: of each of the two programs.
      required_layers: without these no program runs.
      layers: those to apply where the machine grants them.

    Raises:
      UserError: a required layer is not granted, or the tests themselves cannot be run.
      RuntimeError: the sandbox could not be set up.
    """
    sandbox: dict[str, Any] = {
        "limits": limits,
        "required_layers": required_layers,
        "layers": layers,
    }
    with dialogue(candidate_program(trial), **sandbox) as candidate:
        first = _parsed(candidate.ask())
        match first:
            case ["loaded", list(defined)]:
                with dialogue(testing_program(trial, _names(defined, trial)), **sandbox) as tests:
                    return _tested(candidate, tests)
            case ["invalid" | "raised" as kind, [str(exception), *_], str(text)]:
                reason = "invalid" if kind == "invalid" else _of_exception(exception)
                return Grade(reason, _printable(exception), _printable(text), candidate.isolation)
        return _ended(candidate.end())


def _tested(candidate: Dialogue, tests: Dialogue) -> Grade:
    """Passes requests and answers on until there is a verdict."""
    common = set(candidate.isolation) & set(tests.isolation)
    isolation = tuple(layer for layer in candidate.isolation if layer in common)
    line = tests.ask()
    while line is not None and line.startswith(b"C"):
        answer = candidate.ask(line[1:])
        if answer is None:
            return _ended(candidate.end())
        line = tests.ask(answer)
    if line is None:
        return _ended(tests.end())
    reason, exception, text = json.loads(line.removeprefix(b"V"))
    if reason == "unusable":
        raise UserError(f"the tests of a problem cannot be run: {exception}: {text:.200}")
    if reason == "error":
        reason = _of_exception(exception)
    return Grade(reason, exception and _printable(exception), _printable(text), isolation)


def _printable(text: str) -> str:
    """Returns a text of the candidate as one that can be written: short, and no half surrogates."""
    return text[:_MAX_TEXT].encode(errors="replace").decode()


def _of_exception(name: str) -> str:
    return {"MemoryError": "memory", "SystemExit": "exited"}.get(name, "error")


def _ended(execution: Execution) -> Grade:
    """Returns the grade of a program that ended before there was a verdict."""
    reason, exception = execution.status, None
    if reason not in ("timeout", "memory", "output"):
        reason = "killed" if execution.exit_code < 0 else "exited"
    if reason == "killed":
        exception = signal.Signals(-execution.exit_code).name
    return Grade(reason, exception, "", execution.isolation)


def _names(defined: list[Any], trial: Trial) -> list[str]:
    """Returns what the candidate says that it defines, of what it was asked for."""
    return [name for name in trial.names if name in defined]


def _parsed(line: bytes | None) -> Any:
    """Returns what the candidate's process wrote, None if it is no JSON."""
    try:
        return None if line is None else json.loads(line)
    except (ValueError, RecursionError):
        return None
