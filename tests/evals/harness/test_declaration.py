"""The options of an evaluation, and what they are checked for before anything is read."""

import dataclasses
from typing import Any

import pytest

from codepretrain.config.load import load_study
from codepretrain.config.schema import EvaluatorConfig, StudyConfig
from codepretrain.errors import UserError
from codepretrain.evals.harness import libraries
from codepretrain.evals.harness.declaration import EVALUATOR
from codepretrain.evals.harness.options import names
from codepretrain.evals.identity import spec_digest
from codepretrain.evals.registry import check_evaluators, evaluator_request
from tests.conftest import TINY


def chosen(**options: Any) -> EvaluatorConfig:
    return EvaluatorConfig(kind="harness", options=options)


def study(**options: Any) -> StudyConfig:
    return dataclasses.replace(load_study(TINY), evals={"suite": chosen(**options)})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "config.evals.suite.options.*tasks"),
        ({"tasks": " , "}, "config.evals.suite.options.tasks: expected names of tasks"),
        ({"tasks": "boolq", "task": "x"}, "config.evals.suite.options.task: no such field"),
        ({"tasks": "boolq", "num_fewshot": -1}, "num_fewshot: expected 0 or more, found -1"),
        ({"tasks": "boolq", "max_new_tokens": 0}, "max_new_tokens: expected 1 or more, found 0"),
        ({"tasks": "reasoning", "excluded": "piqua"}, "excluded: .*'piqua'; did you mean piqa?"),
    ],
)
def test_mistakes_are_found_without_the_harness(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_evaluators(study(**options))


def test_benchmark_tasks_need_no_held_out_documents() -> None:
    config = study(tasks="boolq")
    data = dataclasses.replace(config.data, validation_fraction=0.0)
    check_evaluators(dataclasses.replace(config, data=data))
    with_loss = {"loss": EvaluatorConfig(kind="validation_loss")}
    with pytest.raises(UserError, match=r"config\.evals\.loss needs held-out documents"):
        check_evaluators(dataclasses.replace(config, data=data, evals=with_loss))


def test_the_places_of_files_are_not_part_of_the_identity() -> None:
    digests = [
        spec_digest(*evaluator_request("suite", chosen(tasks="boolq", **more)))
        for more in ({}, {"data": "a", "include_path": "b"}, {"num_fewshot": 1})
    ]
    assert digests[0] == digests[1] != digests[2]


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "find_spec", lambda name: None if name != "datasets" else name)
    _, request = evaluator_request("suite", chosen(tasks="boolq"))
    expected = (
        r"config\.evals\.suite .* needs `lm_eval`, `tokenizers`: not installed; run "
        r"`pip install 'codepretrain\[eval\]'`"
    )
    with pytest.raises(UserError, match=expected):
        EVALUATOR.check_data(request)


def test_names_in_a_list() -> None:
    assert names(" boolq, piqa,,boolq ") == ["boolq", "piqa"]
