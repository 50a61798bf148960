"""The kinds of evaluators, and the check of a study's evaluations before anything is read."""

import importlib
from typing import Any

from codepretrain.config.parse import parse, suggestion
from codepretrain.config.schema import EvaluatorConfig, StudyConfig
from codepretrain.errors import UserError
from codepretrain.evals.evaluator import AnyEvaluatorKind, Request

# Each is a module of this folder with an `EVALUATOR`, imported when a study uses it.
KINDS = (
    "validation_loss",
    "multiple_choice",
    "python_expression",
    "harness",
    "code_generation",
    "completions",
)


def evaluator_kind(kind: str) -> AnyEvaluatorKind:
    """Returns the declaration of one of `KINDS`."""
    declared = importlib.import_module(f"codepretrain.evals.{kind}").EVALUATOR
    assert declared.name == kind, (declared.name, kind)
    return declared


def evaluator_request(name: str, config: EvaluatorConfig) -> tuple[AnyEvaluatorKind, Request[Any]]:
    """Returns the kind of the evaluation called `name` and the study's settings for it.

    Raises:
      UserError: an unknown kind, an unknown or missing option, or a value that cannot be used.
    """
    path = f"config.evals.{name}"
    if config.kind not in KINDS:
        near = suggestion(config.kind, list(KINDS))
        raise UserError(f"{path}.kind: no evaluator of kind {config.kind!r:.80}{near}")
    kind = evaluator_kind(config.kind)
    options = parse(kind.options, dict(config.options), path=f"{path}.options")
    request = Request(path=path, num_examples=config.num_examples, options=options)
    kind.check(request)
    return kind, request


def check_evaluators(config: StudyConfig) -> None:
    """Raises UserError unless every evaluation of the study can be built. Needs no JAX."""
    for name, evaluator in config.evals.items():
        kind, request = evaluator_request(name, evaluator)
        kind.check_study(request, config)
        if kind.reads_held_out and not config.data.validation_fraction:
            raise UserError(
                f"{request.path} needs held-out documents, and config.data.validation_fraction = 0 "
                f"holds out none: expected a fraction above 0, or no {request.path}"
            )


def check_machine(config: StudyConfig) -> None:
    """Raises UserError unless this machine can run every evaluation of the study.

    On several processes process 0 asks for all.
    """
    for name, evaluator in config.evals.items():
        kind, request = evaluator_request(name, evaluator)
        kind.check_machine(request)
        kind.check_data(request)


def missing_data(config: StudyConfig) -> list[str]:
    """Returns what is wrong with the data that evaluations read beside the prepared data."""
    problems = []
    for name, evaluator in config.evals.items():
        kind, request = evaluator_request(name, evaluator)
        try:
            kind.check_data(request)
        except UserError as error:
            problems.append(str(error))
    return problems
