"""Builds a study's evaluations, which then run on parameters and are recorded."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import jax
from etils import epath
from jax.sharding import Mesh
from rich.console import Console

from codepretrain.config.schema import StudyConfig
from codepretrain.evals.evaluator import AnyEvaluatorKind, EvalResult, Evaluation
from codepretrain.evals.identity import differing, full_identity, identity_digest
from codepretrain.evals.item_scores import write_item_scores
from codepretrain.evals.progress import EvaluationProgress
from codepretrain.evals.registry import check_machine, evaluator_request
from codepretrain.evals.resources import Resources
from codepretrain.hosts import decide, gather
from codepretrain.metrics.writer import MetricsWriter

if TYPE_CHECKING:
    from codepretrain.model.transformer import Params


@dataclass(frozen=True)
class Evaluator:
    """A named evaluation; the trainer's `PhaseEvaluator` (`train/phase_evaluator.py`).

    Attributes:
      interval_steps: its period within a phase; None runs it at the end only.
      identity: named digests of what decides its result (`identity.py`).
      console: shows the progress; None shows nothing.
    """

    name: str
    kind: AnyEvaluatorKind
    interval_steps: int | None
    evaluation: Evaluation
    identity: Mapping[str, str]
    console: Console | None = None

    @cached_property
    def digest(self) -> str:
        return identity_digest(self.identity)

    def __call__(self, params: "Params") -> EvalResult:
        with EvaluationProgress(self.console, self.name) as progress:
            result = self.evaluation(params, progress)
        self.kind.check_result(result)
        return result

    def is_due(self, step: int, *, at_end: bool) -> bool:
        """Returns whether it runs after `step` updates of a phase; never before the first."""
        if step == 0:
            return False
        return at_end or (self.interval_steps is not None and step % self.interval_steps == 0)

    def record(
        self,
        params: "Params",
        writer: MetricsWriter,
        run_dir: epath.Path,
        *,
        step: int,
        tokens: int,
    ) -> None:
        """Evaluates on every process; process 0 writes the metrics and the scores of the items.

        Raises:
          UserError: on every process, if process 0 cannot write.
        """
        self._say_why_again(writer, run_dir, step)
        result = self(params)
        metrics = {name: metric.to_json() for name, metric in result.metrics.items()}

        def write() -> None:
            write_item_scores(run_dir, self.name, step, self.digest, result.items)
            writer.log_evaluation(
                step=step,
                tokens=tokens,
                evaluator=self.name,
                metrics=metrics,
                identity=self.identity,
                digest=self.digest,
            )

        decide(f"the record of evaluation {self.name!r}", write)

    def _say_why_again(self, writer: MetricsWriter, run_dir: epath.Path, step: int) -> None:
        """Prints a line if the step was evaluated before with another identity."""
        before = writer.last_identity(step, self.name)
        if before is not None and self.console is not None:
            self.console.print(
                f"{run_dir.name}: step {step:,} has a result of {self.name} with other "
                f"{differing(self.identity, before)}: evaluating again; the earlier result is kept",
                soft_wrap=True,
            )


def build_evaluators(
    config: StudyConfig, data_dir: epath.Path, mesh: Mesh, *, console: Console | None = None
) -> list[Evaluator]:
    """Returns the study's evaluations in its own order; reads items, computes nothing.

    Args:
      console: where process 0 shows the progress of an evaluation.

    Raises:
      UserError: an unknown kind, option or task, data that is missing or damaged, or a machine that
        cannot run the evaluation. On several processes, on all of them.
    """
    decide("whether this machine can run the evaluations", lambda: check_machine(config))
    resources = Resources(config, data_dir, mesh)
    shown = console if jax.process_index() == 0 else None
    evaluators: list[Evaluator] = []

    def build() -> None:
        for name, chosen in config.evals.items():
            kind, request = evaluator_request(name, chosen)
            evaluation = kind.build(request, resources)
            identity = full_identity(kind, request, evaluation.identity)
            evaluators.append(
                Evaluator(name, kind, chosen.interval_steps, evaluation, identity, shown)
            )

    gather("the evaluations", build)
    return evaluators
