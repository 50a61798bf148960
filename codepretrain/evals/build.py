"""Builds a study's evaluations, which then run on parameters and are recorded."""

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import jax
from etils import epath
from jax.sharding import Mesh
from rich.console import Console

from codepretrain.config.schema import EvaluatorConfig, StudyConfig
from codepretrain.errors import PeerError, UserError, described
from codepretrain.evals.evaluator import AnyEvaluatorKind, EvalResult, Evaluation
from codepretrain.evals.identity import differing, full_identity, identity_digest
from codepretrain.evals.item_scores import write_item_scores
from codepretrain.evals.progress import EvaluationProgress
from codepretrain.evals.registry import check_machine, evaluator_request
from codepretrain.evals.resources import Resources
from codepretrain.hosts import WAIT_S, Channel, decide, gather, num_rounds
from codepretrain.metrics.writer import MetricsWriter
from codepretrain.train.phase_evaluator import EvaluationError

if TYPE_CHECKING:
    from codepretrain.model.transformer import Params

# How long a process whose evaluation failed waits for the others. If they wait for it within the
# evaluation, it ends after this time, and that ends them.
_AGREE_S = 60.0
# Apart from the agreements within an evaluation: a process that failed takes no part in them.
_ENDS = Channel("ends of evaluations")


@dataclass(frozen=True)
class Evaluator:
    """A named evaluation; the trainer's `PhaseEvaluator` (`train/phase_evaluator.py`).

    Attributes:
      title: for messages: its place in the configuration, its kind and its task.
      identity: named digests of what decides its result (`identity.py`).
      interval_tokens: its period within a phase; None runs it at the end only.
      step_tokens: tokens of a step.
      continues: whether a failure is recorded and the run goes on.
      console: shows the progress; None shows nothing.
    """

    name: str
    kind: AnyEvaluatorKind
    evaluation: Evaluation
    identity: Mapping[str, str]
    title: str = ""
    interval_tokens: int | None = None
    step_tokens: int = 1
    continues: bool = False
    console: Console | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """Lines about its items; most kinds of evaluation have none."""
        return getattr(self.evaluation, "warnings", ())

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
        if at_end or self.interval_tokens is None:
            return at_end
        before, after = ((step - past) * self.step_tokens for past in (1, 0))
        return after // self.interval_tokens > before // self.interval_tokens

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
          EvaluationError: it failed, and `continues` is not set.
          UserError: on every process, if process 0 cannot write.
        """
        self._say_why_again(writer, run_dir, step)
        result, failure, cause = self._attempt(params)
        if failure and not self.continues:
            raise EvaluationError(
                f"{self.title} failed at step {step:,}: {failure}; to go on after such a failure, "
                f"set config.evals.{self.name}.on_failure='continue'",
                cause=cause,
            )
        where: dict[str, Any] = {"step": step, "tokens": tokens, "evaluator": self.name}
        where |= {"identity": self.identity, "digest": self.digest}

        def write() -> None:
            if result is None:
                writer.log_failure(**where, failure=failure)
                return
            items = write_item_scores(run_dir, self.name, step, self.digest, result.items)
            metrics = {name: metric.to_json() for name, metric in result.metrics.items()}
            writer.log_evaluation(**where, metrics=metrics, items=items)

        decide(f"the record of evaluation {self.name!r}", write)
        forget = getattr(self.evaluation, "forget", None)
        if result is not None and forget is not None:
            forget()
        if failure and self.console is not None:
            self.console.print(
                f"{run_dir.name}: {self.title} failed at step {step:,}, going on: {failure}",
                soft_wrap=True,
            )

    def _attempt(self, params: "Params") -> tuple[EvalResult | None, str, str]:
        """Returns the result, or why there is none in any of the processes, and the cause."""
        result: EvalResult | None = None
        error: Exception | None = None
        try:
            result = self(params)
        except Exception as raised:
            error = raised
        failure, cause = self._agreed_failure(error)
        if error is not None and not isinstance(error, UserError):
            traceback.print_exception(error)
        return (None if failure else result), failure, cause

    def _agreed_failure(self, error: Exception | None) -> tuple[str, str]:
        """Returns the first failure of any process and its cause; two empty texts without one.

        Raises:
          Exception: a process failed while the others wait for it within the evaluation. It raises
            its own error, which ends them all.
        """
        own, cause = ("", "") if error is None else (str(error), "crash")
        if isinstance(error, UserError):
            cause = error.cause
        elif error is not None:
            own = described(error)
        wait_s = _AGREE_S if error else WAIT_S
        what = f"the end of evaluation {self.name!r}"
        try:
            ends = _ENDS.gather(what, lambda: [own, num_rounds(), cause], wait_s=wait_s)
        except TimeoutError:
            if error is not None:
                raise error from None
            raise
        failures = [(process, end) for process, end in enumerate(ends) if end[0]]
        if not failures:
            return "", ""
        process, (failure, _, cause) = failures[0]
        if len({rounds for _, rounds, _ in ends}) > 1:  # they cannot go on together
            raise error or PeerError(f"process {process}: {failure}")
        return failure, cause

    def _say_why_again(self, writer: MetricsWriter, run_dir: epath.Path, step: int) -> None:
        """Prints a line if the step was evaluated before with another identity."""
        before = writer.last_identity(step, self.name)
        if self.console is not None and before is not None and before != self.identity:
            self.console.print(
                f"{run_dir.name}: step {step:,} has a result of {self.name} that differs in "
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
            evaluators.append(_evaluator(config, name, chosen, resources, shown))

    gather("the evaluations", build)
    return evaluators


def _evaluator(
    config: StudyConfig,
    name: str,
    chosen: EvaluatorConfig,
    resources: Resources,
    console: Console | None,
) -> Evaluator:
    kind, request = evaluator_request(name, chosen)
    evaluation = kind.build(request, resources)
    step_tokens = config.training.batch_size * config.data.max_seq_len
    interval_tokens = chosen.interval_tokens
    if chosen.interval_steps is not None:
        interval_tokens = chosen.interval_steps * step_tokens
    task = getattr(request.options, "task", None)
    return Evaluator(
        name,
        kind,
        evaluation,
        full_identity(kind, request, evaluation.identity),
        title=f"{request.path} ({kind.name}{f', task {task}' if task else ''})",
        interval_tokens=interval_tokens,
        step_tokens=step_tokens,
        continues=chosen.on_failure == "continue",
        console=console,
    )
