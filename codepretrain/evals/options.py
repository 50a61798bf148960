"""The kinds of evaluation and what each can be asked for, checked before anything is read."""

from dataclasses import dataclass
from typing import Any

from codepretrain.config import EvaluatorConfig, StudyConfig
from codepretrain.config_parse import parse, suggestion
from codepretrain.errors import UserError
from codepretrain.evals.sandbox.layers import REQUIRED_LAYERS, parse_layers
from codepretrain.evals.tasks import TASKS, GenerationItem, MultipleChoiceItem


@dataclass(frozen=True, kw_only=True)
class ValidationLossOptions:
    """Nothing but `num_examples`, the rows per source."""


@dataclass(frozen=True, kw_only=True)
class MultipleChoiceOptions:
    task: str


@dataclass(frozen=True, kw_only=True)
class PythonExpressionOptions:
    """`sandbox_layers`: the layers of isolation (`sandbox/layers.py`), separated by commas, without
    which no generated program runs. Other layers are used where the machine grants them.
    """

    task: str = "python_expression"
    sandbox_layers: str = ",".join(REQUIRED_LAYERS)


Options = ValidationLossOptions | MultipleChoiceOptions | PythonExpressionOptions

KINDS: dict[str, Any] = {
    "validation_loss": ValidationLossOptions,
    "multiple_choice": MultipleChoiceOptions,
    "python_expression": PythonExpressionOptions,
}
_ITEMS: dict[type, type] = {
    MultipleChoiceOptions: MultipleChoiceItem,
    PythonExpressionOptions: GenerationItem,
}


def evaluator_options(name: str, config: EvaluatorConfig) -> Options:
    """Returns the options of the evaluation called `name`.

    Raises:
      UserError: no such kind, an unknown or missing option, no such task or one of another kind, or
        an unknown sandbox layer.
    """
    path = f"config.evals.{name}"
    if config.kind not in KINDS:
        near = suggestion(config.kind, list(KINDS))
        raise UserError(f"{path}.kind: no evaluation of kind {config.kind!r}{near}")
    options = parse(KINDS[config.kind], dict(config.options), path=f"{path}.options")
    if isinstance(options, MultipleChoiceOptions | PythonExpressionOptions):
        fitting = [task for task, item in TASKS.items() if item is _ITEMS[type(options)]]
        if options.task not in fitting:
            near = suggestion(options.task, fitting)
            raise UserError(f"{path}.options.task: no {config.kind} task {options.task!r}{near}")
    if isinstance(options, PythonExpressionOptions):
        parse_layers(options.sandbox_layers, path=f"{path}.options.sandbox_layers")
    return options


def check_evaluators(config: StudyConfig) -> None:
    """Raises UserError unless every evaluation of the study is one that there is."""
    for name, evaluator in config.evals.items():
        evaluator_options(name, evaluator)
