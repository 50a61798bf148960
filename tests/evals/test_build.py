import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from jax.sharding import Mesh

from codepretrain import jsonl
from codepretrain.config import EvaluatorConfig, StudyConfig
from codepretrain.errors import UserError
from codepretrain.evals.build import Evaluator, build_evaluators
from codepretrain.evals.items import EvalResult, Items, items_path, write_items
from codepretrain.evals.options import check_evaluators
from codepretrain.evals.sandbox.run import Isolation
from codepretrain.model.transformer import Params

EVALS = {
    "validation": EvaluatorConfig(kind="validation_loss", interval_steps=50, num_examples=3),
    "prose": EvaluatorConfig(kind="multiple_choice", options={"task": "prose_continuation"}),
    "expression": EvaluatorConfig(kind="python_expression", num_examples=2),
}


def with_evals(config: StudyConfig, evals: Mapping[str, EvaluatorConfig]) -> StudyConfig:
    data = dataclasses.replace(config.data, max_seq_len=16)
    return dataclasses.replace(config, evals=evals, data=data)


def test_the_evaluations_of_a_study_run(
    config: StudyConfig, data_dir: Path, mesh: Mesh, sharded_params: Params, tmp_path: Path
) -> None:
    evaluators = build_evaluators(with_evals(config, EVALS), data_dir, mesh)
    assert [evaluator.name for evaluator in evaluators] == ["validation", "prose", "expression"]
    for evaluator in evaluators:
        result = evaluator(sharded_params)
        assert result.seconds > 0
        write_items(tmp_path, evaluator.name, 7, result.items)
        with np.load(items_path(tmp_path, evaluator.name, 7)) as scores:
            for name, values in result.items.scores.items():
                np.testing.assert_array_equal(scores[name], values)
        lines = jsonl.read(tmp_path / "items" / f"{evaluator.name}-00000007.jsonl")
        assert [line["id"] for line in lines] == [r["id"] for r in result.items.records]


def test_when_an_evaluation_is_due() -> None:
    """Every 50 steps and at the end; without a period at the end alone; never at step 0."""
    periodic = Evaluator("a", 50, lambda params: EvalResult({}, Items({}, ())))
    last = dataclasses.replace(periodic, interval_steps=None)
    assert [step for step in range(0, 101, 25) if periodic.is_due(step, at_end=step == 75)] == [
        50,
        75,
        100,
    ]
    assert [step for step in range(0, 101, 25) if last.is_due(step, at_end=step == 75)] == [75]


@pytest.mark.parametrize(
    ("evaluator", "message"),
    [
        (
            EvaluatorConfig(kind="validation_los"),
            "config.evals.x.kind: no evaluation of kind 'validation_los'; did you mean "
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


def test_a_task_without_items_is_an_error(config: StudyConfig, data_dir: Path, mesh: Mesh) -> None:
    chosen = EvaluatorConfig(kind="multiple_choice", options={"task": "code_continuation"})
    with pytest.raises(UserError, match=r"code_continuation.jsonl holds no items: hold out more"):
        build_evaluators(with_evals(config, {"x": chosen}), data_dir, mesh)


def test_data_that_was_not_prepared_is_an_error(
    config: StudyConfig, tmp_path: Path, mesh: Mesh
) -> None:
    for name in EVALS:
        with pytest.raises(UserError, match="run `codepretrain prepare` first"):
            build_evaluators(with_evals(config, {name: EVALS[name]}), tmp_path, mesh)


def test_a_machine_without_the_required_sandbox_layers_is_refused(
    config: StudyConfig, data_dir: Path, mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While evaluators are built, which is before any compute is spent on them."""
    isolation = Isolation(("limits", "seccomp"), {"namespaces": "no clone", "landlock": "no rules"})
    monkeypatch.setattr("codepretrain.evals.sandbox.run.sandbox_isolation", lambda: isolation)
    with pytest.raises(UserError) as error:
        build_evaluators(with_evals(config, {"x": EVALS["expression"]}), data_dir, mesh)
    assert "namespaces (no clone" in str(error.value)
    assert "landlock (no rules" in str(error.value)
    layers = "limits,capabilities,seccomp"
    assert f"config.evals.x.options.sandbox_layers={layers!r}" in str(error.value)
    weaker = dataclasses.replace(EVALS["expression"], options={"sandbox_layers": layers})
    (evaluator,) = build_evaluators(with_evals(config, {"x": weaker}), data_dir, mesh)
    assert evaluator.name == "x"


def test_a_source_that_holds_nothing_out_is_an_error(
    config: StudyConfig, data_dir: Path, mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "codepretrain.stream.rows.RowStore.__len__",
        lambda store: 0 if store.manifest.source == "markup" else 5,
    )
    with pytest.raises(UserError, match=r"no held-out rows of markup: raise config\.data\.valid"):
        build_evaluators(with_evals(config, {"x": EVALS["validation"]}), data_dir, mesh)
