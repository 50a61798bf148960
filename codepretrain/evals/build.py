"""Builds a study's evaluations, which then run on parameters."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import jax
from etils import epath
from jax.sharding import Mesh
from rich.console import Console

from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError
from codepretrain.evals.evaluator import AnyEvaluatorKind, EvalResult, Evaluate
from codepretrain.evals.language_model import LanguageModel
from codepretrain.evals.progress import EvaluationProgress
from codepretrain.evals.registry import check_machine, evaluator_request
from codepretrain.evals.row_loss import RowLoss
from codepretrain.hosts import decide, gather
from codepretrain.rows.store import RowStore, open_sources
from codepretrain.rows.vocabulary import load_vocabulary
from codepretrain.train.execution import step_kernel

if TYPE_CHECKING:
    from codepretrain.model.transformer import Params


@dataclass(frozen=True)
class Evaluator:
    """A named evaluation.

    interval_steps: its period within a phase; None runs it at the end only. console: shows the
    progress; None shows nothing.
    """

    name: str
    kind: AnyEvaluatorKind
    interval_steps: int | None
    evaluate: Evaluate
    console: Console | None = None

    def __call__(self, params: "Params") -> EvalResult:
        with EvaluationProgress(self.console, self.name) as progress:
            result = self.evaluate(params, progress)
        self.kind.check_result(result)
        return result

    def is_due(self, step: int, *, at_end: bool) -> bool:
        """Returns whether it runs after `step` updates of a phase; never before the first."""
        if step == 0:
            return False
        return at_end or (self.interval_steps is not None and step % self.interval_steps == 0)


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
            evaluate = kind.build(request, resources)
            evaluators.append(Evaluator(name, kind, chosen.interval_steps, evaluate, shown))

    gather("the evaluations", build)
    return evaluators


class Resources:
    """Resources that evaluators share, created on first use."""

    def __init__(self, config: StudyConfig, data_dir: epath.Path, mesh: Mesh) -> None:
        self.config = config
        self.data_dir = data_dir
        self._mesh = mesh
        # As many rows as training handles at once; without gradients they fit in memory.
        self._batch_size = config.training.batch_size // config.execution.num_microbatches

    @cached_property
    def language_model(self) -> LanguageModel:
        config = self.config
        return LanguageModel(
            config.model,
            load_vocabulary(self.data_dir, vocab_size=config.model.vocab_size),
            self._mesh,
            batch_size=self._batch_size,
            max_seq_len=config.data.max_seq_len,
            attention_kernel=step_kernel(config, self._mesh),
        )

    @cached_property
    def row_loss(self) -> RowLoss:
        return RowLoss(self.config, self._mesh, batch_size=self._batch_size)

    @cached_property
    def held_out_rows(self) -> dict[str, RowStore]:
        """Source → its held-out rows.

        Raises:
          UserError: a source has none.
        """
        stores = open_sources(self.data_dir, self.config.data.sources, "validation")
        empty = [source for source, store in stores.items() if not len(store)]
        if empty:
            raise UserError(
                f"config.data.validation_fraction = {self.config.data.validation_fraction:g} holds "
                f"out no rows of {', '.join(empty)}: raise it and prepare again, or remove the "
                "validation loss from config.evals"
            )
        return stores
