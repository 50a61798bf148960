"""A programming problem as the model gets it, and how a completion becomes a trial."""

import ast
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codepretrain.evals.programs.trial import Trial

# What a model without any understanding may write; each is graded once per evaluation.
POLICIES = ("empty", "pass", "first_argument")


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One problem of a benchmark.

    Attributes:
      id: such as `HumanEval/0` or `MBPP/11`.
      prompt: what the model is given.
      reference: a right completion, of which bits per byte are measured.
      stop: texts at which a completion ends.
      begin: the source before a completion.
      setup, tests, names: see `Trial`.
      policies: completions that need no understanding of the task, by name (`POLICIES`).
    """

    id: str
    prompt: str
    reference: str
    stop: Sequence[str]
    begin: str
    setup: str
    tests: str
    names: Sequence[str]
    policies: Mapping[str, str]

    def trial(self, completion: str) -> Trial:
        """Returns the trial of a completion, cut where the first stop text begins."""
        for text in self.stop:
            completion = completion.partition(text)[0]
        return Trial(
            source=self.begin + completion, setup=self.setup, tests=self.tests, names=self.names
        )

    def content(self) -> dict[str, Any]:
        """Returns what decides the grade of a completion."""
        return {
            "id": self.id,
            "reference": self.reference,
            "begin": self.begin,
            "setup": self.setup,
            "tests": self.tests,
            "names": [*self.names],
        }


def parsed(source: str) -> ast.Module:
    """Returns the syntax tree of a benchmark's code.

    Raises:
      ValueError: this interpreter cannot parse it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(source)
        except (SyntaxError, RecursionError, MemoryError) as error:
            raise ValueError(f"no Python: {error}") from error


def functions(tree: ast.Module) -> dict[str, ast.FunctionDef]:
    """Returns the functions that a module defines at its top level, by name."""
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


def imported_modules(source: str) -> list[str]:
    """Returns the names of the modules that a benchmark's code imports."""
    found: dict[str, None] = {}
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Import):
            found |= dict.fromkeys(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found[node.module] = None
    return list(found)
