"""Grades completions of problems, spread over all processes of a run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codepretrain.evals.programs.grade import Grade, grade_trials
from codepretrain.evals.programs.problem import Problem
from codepretrain.evals.progress import Progress
from codepretrain.evals.sandbox.run import SandboxLimits
from codepretrain.evals.spread import Sandbox, spread

Completion = tuple[int, str]  # the number of a problem and a text
Grades = dict[Completion, Grade]


def _nowhere(grades: Mapping[Completion, Grade]) -> None:
    pass


@dataclass(frozen=True)
class Grading:
    """How completions of these problems are graded. Only `sandbox` differs between processes."""

    problems: Sequence[Problem]
    limits: SandboxLimits
    required_layers: Sequence[str]
    sandbox: Sandbox

    def __call__(
        self,
        wanted: Sequence[Completion],
        progress: Progress,
        *,
        what: str = "programs",
        known: Mapping[Completion, Grade] | None = None,
        keep: Callable[[Mapping[Completion, Grade]], None] = _nowhere,
    ) -> Grades:
        """Returns the grade of each completion; equal ones are run once. All processes call it.

        Args:
          what: names the completions in messages.
          known: grades of earlier calls, which are not run again.
          keep: called on process 0 with new grades as they come.
        """
        from codepretrain.hosts import WAIT_S  # imports JAX

        found = {pair: known[pair] for pair in wanted if pair in known} if known else {}
        missing = [pair for pair in dict.fromkeys(wanted) if pair not in found]

        def keep_round(part: Sequence[Completion], results: list[Any]) -> None:
            keep(dict(zip(part, map(Grade.from_json, results), strict=True)))

        results = spread(
            missing,
            self._run,
            what=what,
            per_process=self.sandbox.per_process,
            wait_s=WAIT_S + 2 * self.limits.wall_s * self.sandbox.per_process,
            progress=progress,
            keep=keep_round,
        )
        return found | dict(zip(missing, map(Grade.from_json, results), strict=True))

    def _run(self, part: Sequence[Completion]) -> list[dict[str, Any]]:
        grades = grade_trials(
            [self.problems[i].trial(text) for i, text in part],
            limits=self.limits,
            required_layers=self.required_layers,
            layers=self.sandbox.layers,
            num_workers=self.sandbox.num_workers,
        )
        return [grade.to_json() for grade in grades]
