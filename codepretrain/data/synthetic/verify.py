"""Verifies candidate solutions in the sandbox.

    candidate  →  recording program  →  record  →  checking program  →  nonce  →  "verified"

A candidate is verified if and only if the checking program printed the nonce that this process drew
after the candidate's process had ended. Exit codes decide nothing. See `programs.py` for why a
candidate cannot forge the nonce.

What verification cannot tell: a candidate may answer by any means that gives right results for the
tests' inputs, for instance a table of them. Tests that the statement does not show guard against
tables of the examples.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from codepretrain.data.python_syntax import parse_module
from codepretrain.data.synthetic.problem import Problem
from codepretrain.data.synthetic.programs import (
    Record,
    checking_program,
    parse_record,
    recording_program,
)
from codepretrain.evals.sandbox.layers import REQUIRED_LAYERS
from codepretrain.evals.sandbox.run import Execution, SandboxLimits, run_programs

VERIFIED = "verified"
# Generous in wall time, so that a busy machine changes no verdict.
LIMITS = SandboxLimits(wall_s=60.0, cpu_s=10, memory_bytes=512 << 20, output_bytes=1 << 20)
_CHECKED_AT_ONCE = 16
MAX_CANDIDATE_BYTES = 1 << 18


@dataclass(frozen=True)
class Verdict:
    """`status` is "verified", or why not: "wrong" (a test fails), "not Python", "too large", "no
    record" (it ended before all tests ran), or how the sandbox ended it: "error", "timeout",
    "memory", "output". `isolation`: the sandbox's layers that were in force.
    """

    status: str
    isolation: tuple[str, ...] = ()

    @property
    def is_verified(self) -> bool:
        return self.status == VERIFIED


def verify(
    items: Sequence[tuple[Problem, str]],
    *,
    limits: SandboxLimits = LIMITS,
    required_layers: Sequence[str] = REQUIRED_LAYERS,
    num_workers: int | None = None,
) -> list[Verdict]:
    """Returns the verdict on each candidate.

    Args:
      items: problems and candidate solutions.
      limits: of each program.
      required_layers: of the sandbox.
      num_workers: programs that run at once, by default one per CPU.

    Raises:
      UserError: this machine does not grant a required layer.
    """
    verdicts = [Verdict(_objection(candidate) or "") for _, candidate in items]
    places = [i for i, verdict in enumerate(verdicts) if not verdict.status]
    executions = run_programs(
        [recording_program(*items[i]) for i in places],
        limits=limits,
        required_layers=required_layers,
        num_workers=num_workers,
    )
    records: dict[int, Record] = {}
    for i, execution in zip(places, executions, strict=True):
        record = parse_record(items[i][0], execution.stdout)
        if record is None:
            verdicts[i] = Verdict(_failure(execution), execution.isolation)
        else:
            records[i] = record
            verdicts[i] = Verdict("", execution.isolation)
    for i, status in _checked(items, records, limits, required_layers, num_workers).items():
        verdicts[i] = Verdict(status, verdicts[i].isolation)
    return verdicts


def _objection(candidate: str) -> str | None:
    if len(candidate.encode("utf-8", "surrogatepass")) > MAX_CANDIDATE_BYTES:
        return "too large"
    return "not Python" if parse_module(candidate) is None else None


def _failure(execution: Execution) -> str:
    ended_itself = execution.status in ("passed", "failed")
    return "no record" if ended_itself else execution.status


def _checked(
    items: Sequence[tuple[Problem, str]],
    records: dict[int, Record],
    limits: SandboxLimits,
    required_layers: Sequence[str],
    num_workers: int | None,
) -> dict[int, str]:
    """Returns the status of each record's item. A group whose program fails is checked one by one.

    A record whose program fails alone has that program's status: another run may end otherwise.
    """
    places = list(records)
    groups = [places[i : i + _CHECKED_AT_ONCE] for i in range(0, len(places), _CHECKED_AT_ONCE)]
    statuses: dict[int, str] = {}
    while groups:
        nonces = [[secrets.token_hex(16) for _ in group] for group in groups]
        executions = run_programs(
            [
                checking_program([(items[i][0], records[i]) for i in group], drawn)
                for group, drawn in zip(groups, nonces, strict=True)
            ],
            limits=limits,
            required_layers=required_layers,
            num_workers=num_workers,
        )
        again: list[list[int]] = []
        for group, drawn, execution in zip(groups, nonces, executions, strict=True):
            printed = set(execution.stdout.decode(errors="replace").splitlines())
            if execution.status == "passed":
                pairs = zip(group, drawn, strict=True)
                statuses |= {i: VERIFIED if nonce in printed else "wrong" for i, nonce in pairs}
            elif len(group) > 1:
                again += [[i] for i in group]
            else:
                statuses[group[0]] = _failure(execution)
        groups = again
    return statuses
