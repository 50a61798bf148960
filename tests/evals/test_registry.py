import dataclasses
import subprocess
import sys
from collections.abc import Mapping

import pytest

from codepretrain.config.schema import EvaluatorConfig, StudyConfig
from codepretrain.errors import UserError
from codepretrain.evals.registry import KINDS, check_evaluators, evaluator_kind, evaluator_request


def with_evals(config: StudyConfig, evals: Mapping[str, EvaluatorConfig]) -> StudyConfig:
    return dataclasses.replace(config, evals=evals)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_declared_in_the_file_of_its_name(kind: str) -> None:
    declared = evaluator_kind(kind)
    assert declared.name == kind
    assert dataclasses.is_dataclass(declared.options)
    assert any(spec.is_primary for spec in declared.metrics)


def test_declarations_load_without_jax() -> None:
    """So that every command can check a study's evaluations: in a fresh interpreter."""
    code = (
        "import sys; from codepretrain.evals.registry import KINDS, evaluator_kind; "
        "[evaluator_kind(kind) for kind in KINDS]; print(*sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    loaded = {name.split(".")[0] for name in result.stdout.split()}
    assert not loaded & {"jax", "jaxlib", "flax"}


def test_a_request_has_the_options_and_their_place() -> None:
    chosen = EvaluatorConfig(kind="multiple_choice", options={"task": "prose_continuation"})
    kind, request = evaluator_request("prose", chosen)
    assert kind is evaluator_kind("multiple_choice")
    assert (request.path, request.num_examples) == ("config.evals.prose", 200)
    assert request.options.task == "prose_continuation"


@pytest.mark.parametrize(
    ("evaluator", "message"),
    [
        (
            EvaluatorConfig(kind="validation_los"),
            "config.evals.x.kind: no evaluator of kind 'validation_los'; did you mean "
            "validation_loss?",
        ),
        (
            EvaluatorConfig(kind="multiple_choice", options={"tsk": "prose_continuation"}),
            "config.evals.x.options.tsk: no such field; did you mean task?",
        ),
        (EvaluatorConfig(kind="multiple_choice"), "config.evals.x.options.task"),
        (
            EvaluatorConfig(kind="multiple_choice", options={"task": "prose_continuaton"}),
            "no multiple_choice task 'prose_continuaton'; did you mean prose_continuation?",
        ),
        (
            EvaluatorConfig(kind="multiple_choice", options={"task": "python_expression"}),
            "no multiple_choice task 'python_expression'; expected one of: prose_continuation",
        ),
        (
            EvaluatorConfig(kind="python_expression", options={"sandbox_layers": "limits,secomp"}),
            "config.evals.x.options.sandbox_layers: no sandbox layer 'secomp'; did you mean "
            "seccomp?",
        ),
        (
            EvaluatorConfig(kind="validation_loss", options={"task": "prose_continuation"}),
            "config.evals.x.options.task: no such field",
        ),
    ],
)
def test_mistakes_are_named_before_any_data_is_read(
    config: StudyConfig, evaluator: EvaluatorConfig, message: str
) -> None:
    with pytest.raises(UserError) as error:
        check_evaluators(with_evals(config, {"x": evaluator}))
    assert message in str(error.value)
