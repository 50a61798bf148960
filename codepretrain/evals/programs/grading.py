"""Grades completions of problems, spread over all processes of a run."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from codepretrain.evals.programs.grade import Grade, grade_trials
from codepretrain.evals.programs.problem import Problem
from codepretrain.evals.progress import Progress
from codepretrain.evals.sandbox.run import SandboxLimits
from codepretrain.evals.spread import Sandbox, spread

if TYPE_CHECKING:
    from codepretrain.evals.language_model import RequestCache

Completion = tuple[int, str]  # the number of a problem and a text
Grades = dict[Completion, Grade]


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
        kept: "RequestCache",
        what: str = "programs",
    ) -> Grades:
        """Returns the grade of each completion; equal ones are run once. All processes call it.

        Args:
          kept: has grades of earlier calls, which are not run again, and gets new ones round by
            round. Its digest identifies the problems, the limits and the grader.
          what: names the completions in messages.
        """
        from codepretrain.hosts import WAIT_S  # imports JAX

        distinct = list(dict.fromkeys(wanted))
        keys = [
            kept.key("grade", {"problem": self.problems[i].id, "text": text})
            for i, text in distinct
        ]
        forms = dict(zip(distinct, kept.lookup(keys), strict=True))
        missing = [pair for pair, form in forms.items() if form is None]
        key_of = dict(zip(distinct, keys, strict=True))

        def keep(part: Sequence[Completion], results: list[str]) -> None:
            kept.append({key_of[pair]: form for pair, form in zip(part, results, strict=True)})

        results = spread(
            missing,
            self._run,
            what=what,
            per_process=self.sandbox.per_process,
            wait_s=WAIT_S + 2 * self.limits.wall_s * self.sandbox.per_process,
            progress=progress,
            keep=keep,
        )
        forms |= zip(missing, results, strict=True)
        return {pair: Grade.from_json(json.loads(form)) for pair, form in forms.items()}

    def _run(self, part: Sequence[Completion]) -> list[str]:
        """Returns grades as JSON texts: a journal would read a value "NaN" as a number."""
        grades = grade_trials(
            [self.problems[i].trial(text) for i, text in part],
            limits=self.limits,
            required_layers=self.required_layers,
            layers=self.sandbox.layers,
            num_workers=self.sandbox.num_workers,
        )
        return [json.dumps(grade.to_json()) for grade in grades]
