import dataclasses

import pytest

from codepretrain.config.schema import EvaluatorConfig
from codepretrain.evals.evaluator import AnyEvaluatorKind, Request
from codepretrain.evals.identity import full_identity, identity_digest, spec_digest
from codepretrain.evals.registry import evaluator_request


def spec(config: EvaluatorConfig) -> str:
    return spec_digest(*evaluator_request("x", config))


CHOICE = EvaluatorConfig(kind="multiple_choice", options={"task": "prose_continuation"})


def test_the_specification_has_kind_options_and_number_of_items() -> None:
    other_task = dataclasses.replace(CHOICE, options={"task": "code_continuation"})
    digests = {
        spec(CHOICE),
        spec(other_task),
        spec(dataclasses.replace(CHOICE, num_examples=7)),
        spec(EvaluatorConfig(kind="validation_loss")),
        spec(EvaluatorConfig(kind="validation_loss", options={"sources": "a"})),
    }
    assert len(digests) == 5


def test_when_and_how_an_evaluation_runs_is_not_in_its_specification() -> None:
    periodic = dataclasses.replace(CHOICE, interval_steps=7, allow_contamination=True)
    assert spec(periodic) == spec(CHOICE)
    expression = EvaluatorConfig(kind="python_expression")
    layers = dataclasses.replace(expression, options={"sandbox_layers": "limits"})
    assert spec(layers) == spec(expression)


def test_a_default_that_is_written_out_changes_nothing() -> None:
    written = EvaluatorConfig(kind="python_expression", options={"task": "python_expression"})
    assert spec(written) == spec(EvaluatorConfig(kind="python_expression"))


@pytest.fixture
def chosen() -> tuple[AnyEvaluatorKind, Request]:
    return evaluator_request("x", CHOICE)


def test_each_named_digest_decides_the_digest(chosen: tuple[AnyEvaluatorKind, Request]) -> None:
    identities = [
        full_identity(*chosen, {"items": "a", "grader": "1"}),
        full_identity(*chosen, {"items": "b", "grader": "1"}),
        full_identity(*chosen, {"items": "a", "grader": "2"}),
        full_identity(*chosen, {"items": "a"}),
    ]
    assert len({identity_digest(identity) for identity in identities}) == 4
    backwards = dict(reversed(identities[0].items()))
    assert identity_digest(backwards) == identity_digest(identities[0])


def test_an_identity_without_its_items_is_a_bug(chosen: tuple[AnyEvaluatorKind, Request]) -> None:
    with pytest.raises(AssertionError, match="lacks the digest of its items"):
        full_identity(*chosen, {"grader": "1"})
    with pytest.raises(AssertionError, match="may not name 'spec'"):
        full_identity(*chosen, {"items": "a", "spec": "b"})
