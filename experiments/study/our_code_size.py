"""How long an anneal the user's code allows, and its doses. No study of its own; all ours."""

import math
from collections.abc import Mapping

from codepretrain.errors import UserError
from experiments.study.our_code_repositories import Code

MAX_EPOCHS = 4  # of the user's code, in the largest dose
LEAST_STEPS = 20  # of an anneal: fewer are a jump, not a schedule


def anneal_tokens(code: Code, doses: tuple[float, ...], step_tokens: int, trunk: int) -> int:
    """Returns min(10% of the trunk, 4 × size / largest dose), in whole steps.

    Raises:
      UserError: that is too short.
    """
    by_code = int(MAX_EPOCHS * code.num_tokens / max(doses))
    tokens = min(by_code, trunk // 10) if trunk else by_code
    steps = tokens // step_tokens
    if steps < LEAST_STEPS:
        least = LEAST_STEPS * step_tokens
        enough = math.ceil(least * max(doses) / MAX_EPOCHS)
        cause, fix = (
            (
                f"your code has about {code.num_tokens:,} tokens; read {MAX_EPOCHS} times at most, "
                f"at a dose of {max(doses):.0%}, they allow an anneal of {by_code:,} tokens",
                f"give repositories with {enough:,} tokens or more, lower config.arguments.doses",
            )
            if not trunk or by_code <= trunk // 10
            else (
                f"10% of a trunk of {trunk:,} tokens are {trunk // 10:,} tokens",
                f"raise config.arguments.trunk_tokens to {10 * least:,}",
            )
        )
        raise UserError(
            f"too short an anneal: {cause}, and the shortest, {LEAST_STEPS} steps, has {least:,}; "
            f"{fix}, or lower config.arguments.batch_size"
        )
    return steps * step_tokens


def check_numbers(*, positive: Mapping[str, float], from_zero: Mapping[str, float]) -> None:
    """Raises UserError if an argument of get_config() is too small, or not a number."""
    for name, value in positive.items():
        if not 0 < value < math.inf:
            raise UserError(f"config.arguments.{name}: expected a positive number, got {value}")
    for name, value in from_zero.items():
        if not 0 <= value < math.inf:
            raise UserError(f"config.arguments.{name}: expected a number from 0, got {value}")


def own_shares(issues: str, share: float) -> dict[str, float]:
    """Returns what a dose consists of: code, and a share of issues if there are any.

    Raises:
      UserError: the share is none.
    """
    if not 0 < share < 1:
        raise UserError(
            f"config.arguments.issues_share: expected a share between 0 and 1, got {share}"
        )
    return {"own_code": 1 - share, "own_issues": share} if issues else {"own_code": 1}


def parse_doses(text: str) -> tuple[float, ...]:
    """Returns percentages as shares, the smallest first. Raises UserError for others."""
    try:
        doses = tuple(sorted(float(dose) / 100 for dose in text.split(",")))
    except ValueError:
        doses = ()
    if len(set(doses)) < max(len(doses), 1) or not 0.001 <= doses[0] <= doses[-1] <= 0.9:
        raise UserError(
            "config.arguments.doses: expected different percentages from 0.1 to 90, separated by "
            f"commas, found {text!r}"
        )
    return doses
