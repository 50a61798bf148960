"""How much code the user has, and how long an anneal it allows. No study of its own; all ours."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from codepretrain.data.readers.git_size import num_bytes, repositories
from codepretrain.errors import UserError

MAX_EPOCHS = 4  # of the user's code, in the largest dose
BYTES_PER_TOKEN = 4  # more than most tokenizers have, so that an estimate is not too large
LEAST_STEPS = 20  # of an anneal: fewer are a jump, not a schedule


@dataclass(frozen=True, kw_only=True)
class Code:
    """The user's repositories: paths or globs, names, and the tokens of those to train on."""

    trained: tuple[str, ...]
    held_out: tuple[str, ...]
    names: tuple[str, ...]
    languages: str
    num_tokens: int


def find_code(trained: str, held_out: str, languages: str, num_tokens: int) -> Code:
    """Returns the user's code, its size estimated from the repositories unless it is given.

    Raises:
      UserError: a path matches no repository, or there is no code in them.
    """
    paths = {"repositories": _listed(trained), "held_out": _listed(held_out)}
    found = {}
    for name, given in paths.items():
        path = f"config.arguments.{name}"
        if not given:
            raise UserError(f"{path}: expected paths of git repositories, separated by commas")
        try:
            found[name] = repositories(given)
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
    ours = {place: found["repositories"][place] for place in _without(found)}
    for name, chosen in (("repositories", ours), ("held_out", found["held_out"])):
        sizes = {place: num_bytes(git, languages=languages) for place, git in chosen.items()}
        if not chosen:
            raise UserError(
                f"config.arguments.{name}: each is in config.arguments.held_out too: expected one "
                "or more to train on"
            )
        if all(size is None for size in sizes.values()):
            raise UserError(f"config.arguments.{name}: no commits in {', '.join(sizes)}")
        total = sum(size or 0 for size in sizes.values())
        if not total:
            raise UserError(
                f"config.arguments.{name}: no file of config.arguments.languages={languages} in "
                f"{', '.join(sizes)}"
            )
        if name == "repositories" and not num_tokens:
            num_tokens = total // BYTES_PER_TOKEN
    return Code(
        trained=paths["repositories"],
        held_out=paths["held_out"],
        names=tuple(
            sorted({Path(place).name.removesuffix(".git") for of in found.values() for place in of})
        ),
        languages=languages,
        num_tokens=num_tokens,
    )


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


def positive_product(**sizes: int) -> int:
    """Returns the product of arguments of get_config(). Raises UserError if one is not positive."""
    for name, size in sizes.items():
        if size < 1:
            raise UserError(f"config.arguments.{name}: expected a positive number, got {size}")
    return math.prod(sizes.values())


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


def _listed(paths: str) -> tuple[str, ...]:
    return tuple(path.strip() for path in paths.split(",") if path.strip())


def _without(found: Mapping[str, Mapping[str, str]]) -> list[str]:
    return [place for place in found["repositories"] if place not in found["held_out"]]


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
