"""Parsers for the command line: flags that may be given once, bounded numbers, addresses.

An invalid argument raises a UserError with the flag, what was expected and what was found.
"""

import argparse
import difflib
import re
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from codepretrain.checkpoint.refusal import check_address
from codepretrain.config.parse import suggestion
from codepretrain.errors import UserError, quoted
from codepretrain.files import storage

MAX_WORKERS = 1024  # processes of preparation, or CPU devices: more than any host has cores
_HOST_AND_PORT = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:/]+):(\d{1,5})")


class Parser(argparse.ArgumentParser):
    """A parser whose errors are UserErrors, and whose flags take one value only."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments, allow_abbrev=False)
        self.register("action", None, Once)

    def error(self, message: str) -> NoReturn:
        message = re.sub(r"^argument (-\S+):", r"\1:", message)
        if found := re.fullmatch(r"(-\S+): expected one argument", message):
            message += f"; one that begins with a dash is given as {found[1]}=…"
        raise UserError(f"{message} (codepretrain --help lists commands and flags)")


class Once(argparse.Action):
    """Stores a flag's value. A second, different value is an error."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        given = namespace.__dict__.setdefault("given", {})
        if given.setdefault(self.dest, values) != values:
            raise UserError(
                f"{option_string} is given twice: {quoted(given[self.dest])} and {quoted(values)}"
            )
        setattr(namespace, self.dest, self.convert(values))

    def convert(self, value: Any) -> Any:
        return value


def is_given(flags: argparse.Namespace, dest: str) -> bool:
    """Returns whether the command line has a flag that is stored by `Once`."""
    return dest in getattr(flags, "given", {})


class PathOnce(Once):
    """Stores a local path, or an address in an object store, as `epath.Path`."""

    def convert(self, value: Any) -> Any:
        return storage.parse(value, name=self.option_strings[0])


class WorkdirOnce(PathOnce):
    """As `PathOnce`, for a place that can hold checkpoints."""

    def convert(self, value: Any) -> Any:
        name = self.option_strings[0]
        check_address(value, name=name)
        return storage.parse(value, name=name, schemes=("gs",))


def whole_number(minimum: int, maximum: int = 2**63 - 1) -> Callable[[str], int]:
    """Returns the type of a flag that takes a whole number from `minimum` to `maximum`."""
    bounds = f", at most {maximum:,}" if maximum < 2**63 - 1 else ""

    def convert(text: str) -> int:
        is_whole = re.fullmatch(r"[+-]?[0-9_]{1,30}", text.strip(), re.ASCII) is not None
        try:
            value = int(text) if is_whole else minimum - 1
        except ValueError:  # of underscores in the wrong places
            value = minimum - 1
        if not minimum <= value <= maximum:
            raise argparse.ArgumentTypeError(
                f"expected a whole number, at least {minimum}{bounds}, got {quoted(text)}"
            )
        return value

    return convert


def split_overrides(
    rest: Sequence[str], known: Sequence[str], *, roots: Sequence[str] = ("config",)
) -> list[str]:
    """Returns the overrides among the arguments that no flag took.

    Args:
      rest: those arguments.
      known: the command's flags, for suggestions.
      roots: what the command takes overrides of.

    Raises:
      UserError: an argument is neither a flag nor an override.
    """
    overrides = []
    for position, argument in enumerate(rest):
        name = argument.partition("=")[0]
        if not argument.startswith(tuple(f"--{root}." for root in roots)):
            raise UserError(f"unknown argument {quoted(argument)}{_near(name, known, roots)}")
        if "=" not in argument:
            after = [*rest[position + 1 :], "--"][0]
            value = "VALUE" if after.startswith("--") else after
            raise UserError(f"{quoted(name)} has no value: write {quoted(f'{name}={value}')[1:-1]}")
        overrides.append(argument)
    return overrides


def _near(name: str, known: Sequence[str], roots: Sequence[str]) -> str:
    """Returns a suggestion: for a misspelled `--config.` too."""
    head, dot, tail = name.partition(".")
    if dot and head.startswith("-") and roots:
        found = difflib.get_close_matches(head, [f"--{root}" for root in roots], n=1, cutoff=0)
        return f"; did you mean {found[0]}.{tail[:80]}?"
    return suggestion(name, [flag for flag in known if flag != "--help"])


def check_machine_flags(flags: argparse.Namespace) -> None:
    """Checks that the flags that describe the processes of a run agree.

    Raises:
      UserError: names the flag that is missing or wrong.
    """
    coordinator = flags.coordinator
    count, index = flags.num_processes, flags.process_id
    if coordinator is not None:
        match = _HOST_AND_PORT.fullmatch(coordinator)
        if match is None or not 0 < int(match[2]) < 65536:
            raise UserError(f"--coordinator: expected HOST:PORT, got {quoted(coordinator)}")
    elif not flags.distributed:
        for name, value in (("--num-processes", count), ("--process-id", index)):
            if value is not None:
                raise UserError(f"{name} needs --coordinator HOST:PORT, the address of process 0")
    if (count is None) != (index is None):
        missing = "--process-id" if index is None else "--num-processes"
        raise UserError(f"{missing} is missing: give --num-processes and --process-id, or neither")
    if count is not None and index >= count:
        raise UserError(
            f"--process-id: expected 0 to {count - 1} for --num-processes={count}, got {index}"
        )
