import dataclasses
import io
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from jax.sharding import Mesh
from rich.console import Console

from codepretrain.config.parse import to_dict
from codepretrain.config.schema import EvaluatorConfig, LoggingConfig, StudyConfig
from codepretrain.errors import UserError
from codepretrain.evals.build import Evaluator, build_evaluators
from codepretrain.evals.estimate import Estimate
from codepretrain.evals.evaluator import EvalResult
from codepretrain.evals.identity import identity_digest
from codepretrain.evals.item_scores import ItemScores, read_item_scores
from codepretrain.evals.multiple_choice import ACCURACY
from codepretrain.evals.progress import Progress
from codepretrain.evals.registry import evaluator_kind
from codepretrain.evals.sandbox.run import Isolation
from codepretrain.metrics.writer import MetricsWriter
from codepretrain.model.transformer import Params
from tests.fixtures.processes import RunJob

EVALS = {
    "validation": EvaluatorConfig(kind="validation_loss", interval_steps=50, num_examples=3),
    "prose": EvaluatorConfig(kind="multiple_choice", options={"task": "prose_continuation"}),
    "expression": EvaluatorConfig(kind="python_expression", num_examples=2),
}


def with_evals(config: StudyConfig, evals: Mapping[str, EvaluatorConfig]) -> StudyConfig:
    data = dataclasses.replace(config.data, max_seq_len=16)
    return dataclasses.replace(config, evals=evals, data=data)


KIND = evaluator_kind("multiple_choice")


class Fixed:
    """An evaluation with a fixed result."""

    identity: Mapping[str, str] = MappingProxyType({"items": "four"})

    def __init__(self, result: EvalResult) -> None:
        self.result = result

    def __call__(self, params: Params, progress: Progress) -> EvalResult:
        return self.result


NOTHING = Fixed(EvalResult({}, ItemScores([], {}, (), [])))
IDENTITY = {"spec": "accuracy of four", "items": "four"}


def test_the_evaluations_of_a_study_run(
    config: StudyConfig, data_dir: Path, mesh: Mesh, sharded_params: Params
) -> None:
    evaluators = build_evaluators(with_evals(config, EVALS), data_dir, mesh)
    assert [evaluator.name for evaluator in evaluators] == ["validation", "prose", "expression"]
    for evaluator in evaluators:
        result = evaluator(sharded_params)
        for name in result.items.scores.keys() & result.metrics.keys():
            is_scored = ~np.isnan(result.items.scores[name])
            assert is_scored.sum() == result.metrics[name].num_items
            clusters = {c for c, of in zip(result.items.clusters, is_scored, strict=True) if of}
            assert len(clusters) == result.metrics[name].count


def test_when_an_evaluation_is_due() -> None:
    """Every 50 steps and at the end; without a period at the end alone; never at step 0."""
    periodic = Evaluator("a", KIND, 50, NOTHING, IDENTITY)
    last = dataclasses.replace(periodic, interval_steps=None)
    assert [step for step in range(0, 101, 25) if periodic.is_due(step, at_end=step == 75)] == [
        50,
        75,
        100,
    ]
    assert [step for step in range(0, 101, 25) if last.is_due(step, at_end=step == 75)] == [75]


def test_a_task_without_items_is_an_error(config: StudyConfig, data_dir: Path, mesh: Mesh) -> None:
    chosen = EvaluatorConfig(kind="multiple_choice", options={"task": "code_continuation"})
    with pytest.raises(UserError, match=r"code_continuation.jsonl has no items: hold out more"):
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


def test_a_metric_that_was_not_declared_is_a_bug() -> None:
    metric = KIND.metrics[0].metric(Estimate(0.5, 0.1, 9))
    of_another_unit = dataclasses.replace(metric, unit="bits")
    for metrics in ({"precision": metric}, {"accuracy": of_another_unit}):
        evaluation = Fixed(EvalResult(metrics, ItemScores([], {}, (), [])))
        with pytest.raises(AssertionError, match="matches 0 declarations"):
            Evaluator("a", KIND, None, evaluation, IDENTITY)({})


MEASURED = Fixed(
    EvalResult(
        {"accuracy": ACCURACY.metric(Estimate(0.5, 0.25, 4), null_value=0.25)},
        ItemScores(list("abcd"), {"accuracy": np.array([1, 0, 0, 1])}, [], list("abcd")),
    )
)


def record(run_dir: Path) -> None:
    evaluator = Evaluator("prose", KIND, None, MEASURED, IDENTITY)
    with MetricsWriter(run_dir, LoggingConfig(write_tensorboard=False), "run") as writer:
        evaluator.record({}, writer, run_dir, step=7, tokens=700)


def test_the_record_states_what_the_metric_is(tmp_path: Path) -> None:
    record(tmp_path)
    (line,) = (tmp_path / "evals.jsonl").read_text().splitlines()
    assert json.loads(line) == {
        "step": 7,
        "tokens": 700,
        "evaluator": "prose",
        "digest": identity_digest(IDENTITY),
        "identity": IDENTITY,
        "metrics": {
            "accuracy": {
                "value": 0.5,
                "standard_error": 0.25,
                "count": 4,
                "unit": "fraction",
                "direction": "higher",
                "is_primary": True,
                "null_value": 0.25,
                "num_items": 4,
                "freedom": 3.0,
                "cluster": "document",
            }
        },
    }
    items = read_item_scores(tmp_path, "prose", 7, identity_digest(IDENTITY))
    assert items is not None
    assert items.scores["accuracy"].tolist() == [1, 0, 0, 1]


def test_scores_are_written_before_the_record(tmp_path: Path) -> None:
    """So that an evaluation that stands in evals.jsonl has its scores."""
    (tmp_path / "items").write_text("a file where the folder should be")
    with pytest.raises(UserError, match=r"cannot write .*prose-00000007"):
        record(tmp_path)
    assert (tmp_path / "evals.jsonl").read_text() == ""


def last_reports(evaluator: Evaluator, params: Params) -> dict[str, tuple[int, int]]:
    """Returns what → (done, total) as last reported."""
    ends = {}

    def progress(done: int, total: int, what: str, /) -> None:
        ends[what] = done, total

    evaluator.evaluation(params, progress)
    return ends


def test_every_evaluator_reports_its_progress_up_to_the_total(
    config: StudyConfig, data_dir: Path, mesh: Mesh, sharded_params: Params
) -> None:
    for evaluator in build_evaluators(with_evals(config, EVALS), data_dir, mesh):
        ends = last_reports(evaluator, sharded_params)
        assert all(done == total for done, total in ends.values()), ends
        expected = {
            "validation": {"rows": 9},
            "prose": {"continuations": 24},
            "expression": {"completions": 2, "programs": 2},
        }
        assert {what: total for what, (_, total) in ends.items()} == expected[evaluator.name]


def test_a_terminal_shows_how_far_an_evaluation_is(
    config: StudyConfig, data_dir: Path, mesh: Mesh, sharded_params: Params
) -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=100)
    study = with_evals(config, {"prose": EVALS["prose"]})
    (evaluator,) = build_evaluators(study, data_dir, mesh, console=console)
    evaluator(sharded_params)
    assert "24/24 continuations" in file.getvalue()


TWO_PROCESSES = """
import json
import pathlib

from codepretrain.config.parse import parse
from codepretrain.config.schema import MeshConfig, StudyConfig
from codepretrain.errors import UserError
from codepretrain.evals.build import build_evaluators
from codepretrain.train.sharding import make_mesh

config = parse(StudyConfig, json.loads(arguments[0]))
data_dir = pathlib.Path(arguments[1])
mesh = make_mesh(MeshConfig(data=2, fsdp=2))
found = data_dir if process == 0 else data_dir / "elsewhere"
try:
    build_evaluators(config, found, mesh)
except UserError as error:
    print(error)
"""


def test_data_that_one_process_lacks_is_an_error_on_all(
    config: StudyConfig, data_dir: Path, run_job: RunJob
) -> None:
    """Otherwise process 0 would go on, and wait in its first collective operation."""
    study = with_evals(config, {"prose": EVALS["prose"]})
    for ended in run_job(TWO_PROCESSES, json.dumps(to_dict(study)), data_dir):
        assert ended.returncode == 0, ended.stderr
        assert "elsewhere/evals: run `codepretrain prepare` first" in ended.stdout
