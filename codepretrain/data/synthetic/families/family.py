"""What a family of problems gives: a draft, from which `build.py` makes a problem."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from string import Template
from typing import Any

NUMBER_LISTS = (
    *("values", "numbers", "readings", "scores", "prices", "heights", "counts", "samples"),
    *("amounts", "temperatures", "weights", "levels", "marks", "distances"),
)
_WORDS = (
    *("apple", "river", "stone", "cloud", "maple", "tiger", "amber", "ocean", "piano", "lemon"),
    *("ember", "raven", "cedar", "noon", "level", "delta", "otter", "bread", "sugar", "kayak"),
    *("mint", "echo", "fox", "a", "Zen", "Iris", "banana", "committee", "swift", "quartz"),
)


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A problem before it is worded.

    Attributes:
      signature: as in `rotate(values, k)`; a class has its constructor's.
      task: a clause in the third person, as in "returns the sum of `values`".
      solution: Python text that defines the name in the signature.
      oracle: another implementation, by another method where there is one. Its results are the
        expected ones.
      tests: code of each test: an expression, or a script of statements and expressions.
      notes: further sentences of the statement.
      properties: pairs of an expression and what must hold for its `result`.
      parameters: what decides the solution's behavior.
      difficulty: 1 to 5.
    """

    signature: str
    task: str
    solution: str
    oracle: Callable[..., Any]
    tests: Sequence[str | Sequence[str]]
    notes: Sequence[str] = ()
    properties: Sequence[tuple[str, str]] = ()
    parameters: Mapping[str, Any]
    difficulty: int

    @property
    def name(self) -> str:
        return self.signature.partition("(")[0]


Family = Callable[[Random], Draft]


def code(template: str, **names: object) -> str:
    """Returns Python text: the template without its indentation, `$name` replaced."""
    text = textwrap.dedent(template).strip("\n") + "\n"
    return Template(text).substitute({key: str(value) for key, value in names.items()})


def calls(name: str, inputs: Sequence[tuple[Any, ...]]) -> list[str]:
    """Returns one call for each tuple of arguments."""
    return [f"{name}({', '.join(map(repr, arguments))})" for arguments in inputs]


def ints(rng: Random, size: int, low: int = -20, high: int = 50) -> list[int]:
    """Returns random whole numbers."""
    return [rng.randint(low, high) for _ in range(size)]


def int_lists(rng: Random, count: int, low: int = -20, high: int = 50) -> list[list[int]]:
    """Returns lists of several lengths, an empty and a short one among them."""
    sizes = [rng.randint(4, 9) for _ in range(count - 2)] + [0, 1]
    return [ints(rng, size, low, high) for size in sizes]


def word_list(rng: Random, size: int) -> list[str]:
    """Returns random words, repetitions included."""
    return [rng.choice(_WORDS) for _ in range(size)]


def sentence(rng: Random, size: int) -> str:
    """Returns random words with single spaces."""
    return " ".join(word_list(rng, size))
