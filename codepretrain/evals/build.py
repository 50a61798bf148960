"""From a study's configuration to evaluations that can be run on parameters.

An evaluation is a pure function of the parameters: the same parameters give the same numbers, in
the training loop and from a checkpoint alike. On several processes all of them must run it, with
the same parameters, and all get the same result; process 0 writes it down.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from jax.sharding import Mesh

from codepretrain.config import EvaluatorConfig, StudyConfig
from codepretrain.errors import UserError
from codepretrain.evals.items import EvalResult
from codepretrain.evals.language_model import LanguageModel
from codepretrain.evals.multiple_choice import MultipleChoice
from codepretrain.evals.options import (
    MultipleChoiceOptions,
    PythonExpressionOptions,
    ValidationLossOptions,
    evaluator_options,
)
from codepretrain.evals.python_expression import PythonExpression
from codepretrain.evals.sandbox.layers import parse_layers
from codepretrain.evals.sandbox.run import require_layers
from codepretrain.evals.tasks import GenerationItem, MultipleChoiceItem, load_items
from codepretrain.evals.validation_loss import ValidationLoss
from codepretrain.model.transformer import Params
from codepretrain.step import step_kernel
from codepretrain.stream.rows import RowStore, open_sources
from codepretrain.vocabulary import load_vocabulary

Evaluate = Callable[[Params], EvalResult]


@dataclass(frozen=True)
class Evaluator:
    """A named evaluation. `interval_steps`: its period within a phase; None is at the end alone."""

    name: str
    interval_steps: int | None
    evaluate: Evaluate

    def __call__(self, params: Params) -> EvalResult:
        started = time.perf_counter()
        result = self.evaluate(params)
        return replace(result, seconds=time.perf_counter() - started)

    def is_due(self, step: int, *, at_end: bool) -> bool:
        """Whether it runs after `step` updates of a phase; never before the first."""
        if step == 0:
            return False
        return at_end or (self.interval_steps is not None and step % self.interval_steps == 0)


def build_evaluators(config: StudyConfig, data_dir: Path, mesh: Mesh) -> list[Evaluator]:
    """Returns the study's evaluations in its own order; reads items, computes nothing.

    Raises:
      UserError: an unknown kind, option or task, data that is missing or damaged, or a machine that
        does not grant the sandbox's required layers.
    """
    require_sandbox(config)
    options = {name: evaluator_options(name, chosen) for name, chosen in config.evals.items()}
    # As many rows as training handles at once, which surely fit where no gradient is kept.
    batch_size = config.training.batch_size // config.execution.num_microbatches
    build = _Builder(config, data_dir, mesh, batch_size)
    makers: Mapping[type, Callable[..., Evaluate]] = {
        ValidationLossOptions: build.validation_loss,
        MultipleChoiceOptions: build.multiple_choice,
        PythonExpressionOptions: build.python_expression,
    }
    return [
        Evaluator(name, chosen.interval_steps, makers[type(options[name])](chosen, options[name]))
        for name, chosen in config.evals.items()
    ]


def require_sandbox(config: StudyConfig) -> None:
    """Checks that this machine grants what the study's evaluations require of the sandbox.

    Raises:
      UserError: it does not; names the evaluation, the layers and the reasons.
    """
    for name, chosen in config.evals.items():
        options = evaluator_options(name, chosen)
        if isinstance(options, PythonExpressionOptions):
            option = f"config.evals.{name}.options.sandbox_layers"
            require_layers(parse_layers(options.sandbox_layers, path=option), option=option)


class _Builder:
    """What evaluations share is made when the first of them needs it: rows and language model."""

    def __init__(self, config: StudyConfig, data_dir: Path, mesh: Mesh, batch_size: int) -> None:
        self.config = config
        self.data_dir = data_dir
        self.mesh = mesh
        self.batch_size = batch_size

    def validation_loss(self, chosen: EvaluatorConfig, _: ValidationLossOptions) -> Evaluate:
        return ValidationLoss(
            self.config,
            self._stores,
            self.mesh,
            num_rows=chosen.num_examples,
            batch_size=self.batch_size,
        )

    def multiple_choice(self, chosen: EvaluatorConfig, options: MultipleChoiceOptions) -> Evaluate:
        items = load_items(
            self.data_dir,
            options.task,
            MultipleChoiceItem,
            num_examples=chosen.num_examples,
            vocab_size=self.config.model.vocab_size,
        )
        return MultipleChoice(self._model, items)

    def python_expression(
        self, chosen: EvaluatorConfig, options: PythonExpressionOptions
    ) -> Evaluate:
        items = load_items(
            self.data_dir,
            options.task,
            GenerationItem,
            num_examples=chosen.num_examples,
            vocab_size=self.config.model.vocab_size,
        )
        required_layers = parse_layers(options.sandbox_layers, path="options.sandbox_layers")
        return PythonExpression(self._model, items, required_layers=required_layers)

    @cached_property
    def _model(self) -> LanguageModel:
        config = self.config
        return LanguageModel(
            config.model,
            load_vocabulary(self.data_dir, vocab_size=config.model.vocab_size),
            self.mesh,
            batch_size=self.batch_size,
            max_seq_len=config.data.max_seq_len,
            attention_kernel=step_kernel(config.execution, self.mesh),
        )

    @cached_property
    def _stores(self) -> dict[str, RowStore]:
        stores = open_sources(self.data_dir, self.config.data.sources, "validation")
        empty = [source for source, store in stores.items() if not len(store)]
        if empty:
            raise UserError(
                f"no held-out rows of {', '.join(empty)}: raise config.data.validation_fraction "
                "and prepare again, or leave the validation loss out"
            )
        return stores
