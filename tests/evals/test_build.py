import dataclasses
import io
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import cast

import numpy as np
import pytest
from jax.sharding import Mesh
from rich.console import Console

from codepretrain.config.parse import to_dict
from codepretrain.config.schema import EvaluatorConfig, LoggingConfig, StudyConfig
from codepretrain.errors import Interrupted, UserError
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
from codepretrain.train.phase_evaluator import EvaluationError
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
    last = Evaluator("a", KIND, NOTHING, IDENTITY)
    periodic = dataclasses.replace(last, interval_tokens=50 * 8, step_tokens=8)
    assert [step for step in range(0, 101, 25) if periodic.is_due(step, at_end=step == 75)] == [
        50,
        75,
        100,
    ]
    assert [step for step in range(0, 101, 25) if last.is_due(step, at_end=step == 75)] == [75]


def test_a_period_in_tokens_is_due_at_the_first_step_after_it() -> None:
    """Every 100 tokens in steps of 30: after 120, 210, 300; every 30 tokens: after each step."""
    evaluator = Evaluator("a", KIND, NOTHING, IDENTITY, interval_tokens=100, step_tokens=30)
    assert [step for step in range(12) if evaluator.is_due(step, at_end=False)] == [4, 7, 10]
    each = dataclasses.replace(evaluator, interval_tokens=30)
    assert [step for step in range(4) if each.is_due(step, at_end=False)] == [1, 2, 3]


def test_periods_are_those_of_the_study(config: StudyConfig, data_dir: Path, mesh: Mesh) -> None:
    """Rows of 16 tokens, 8 in a batch: 128 tokens a step."""
    chosen = {
        "steps": EVALS["validation"],
        "tokens": dataclasses.replace(
            EVALS["validation"], interval_steps=None, interval_tokens=1000
        ),
        "end": EVALS["prose"],
    }
    evaluators = build_evaluators(with_evals(config, chosen), data_dir, mesh)
    due = {e.name: [s for s in range(1, 101) if e.is_due(s, at_end=False)] for e in evaluators}
    assert due == {
        "steps": [50, 100],
        "tokens": [-(-1000 * n // 128) for n in range(1, 13)],
        "end": [],
    }


class Failing:
    """An evaluation that fails once, and then has a result."""

    identity: Mapping[str, str] = MappingProxyType({"items": "four"})

    def __init__(self, error: Exception) -> None:
        self.error: Exception | None = error

    def __call__(self, params: Params, progress: Progress) -> EvalResult:
        error, self.error = self.error, None
        if error is not None:
            raise error
        return MEASURED.result


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (UserError("disk full"), "disk full"),
        (ZeroDivisionError("by zero"), "ZeroDivisionError: by zero"),
    ],
)
def test_a_failing_evaluation_is_named_and_stops(
    tmp_path: Path, error: Exception, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluator = Evaluator("x", KIND, Failing(error), IDENTITY, title="config.evals.x (k, task t)")
    with (
        MetricsWriter(tmp_path, LoggingConfig(write_tensorboard=False), "run") as writer,
        pytest.raises(EvaluationError) as raised,
    ):
        evaluator.record({}, writer, tmp_path, step=7, tokens=700)
    assert str(raised.value) == (
        f"config.evals.x (k, task t) failed at step 7: {told}; to go on after such a failure, set "
        "config.evals.x.on_failure='continue'"
    )
    assert ("Traceback" in capsys.readouterr().err) == (not isinstance(error, UserError))
    assert (tmp_path / "evals.jsonl").read_text() == ""


def test_a_failure_is_recorded_if_the_study_wants_to_go_on_and_is_tried_again(
    tmp_path: Path,
) -> None:
    output = io.StringIO()
    evaluator = Evaluator(
        "x",
        KIND,
        Failing(UserError("disk full")),
        IDENTITY,
        title="config.evals.x (k, task t)",
        continues=True,
        console=Console(file=output, width=200),
    )
    for _ in range(2):
        with MetricsWriter(
            tmp_path, LoggingConfig(write_tensorboard=False), "run", resumed_step=7
        ) as writer:
            assert writer.why_evaluate(7, "x", evaluator.digest)
            evaluator.record({}, writer, tmp_path, step=7, tokens=700)
            last = writer.why_evaluate(7, "x", evaluator.digest)
    assert last == ""
    failed, made_good = map(json.loads, (tmp_path / "evals.jsonl").read_text().splitlines())
    assert (failed["failure"], failed["metrics"]) == ("disk full", {})
    assert "failure" not in made_good
    assert made_good["metrics"]["accuracy"]["value"] == 0.5
    told = "config.evals.x (k, task t) failed at step 7, going on: disk full"
    assert told in output.getvalue()


def test_a_signal_is_no_failure(tmp_path: Path) -> None:
    stop = cast(Exception, Interrupted(15, "stopped"))
    evaluator = Evaluator("x", KIND, Failing(stop), IDENTITY, continues=True)
    with (
        MetricsWriter(tmp_path, LoggingConfig(write_tensorboard=False), "run") as writer,
        pytest.raises(Interrupted),
    ):
        evaluator.record({}, writer, tmp_path, step=7, tokens=700)


def test_evaluators_know_their_place_and_task(
    config: StudyConfig, data_dir: Path, mesh: Mesh
) -> None:
    goes_on = dataclasses.replace(EVALS["prose"], on_failure="continue")
    study = with_evals(config, {"a": EVALS["validation"], "b": goes_on})
    first, second = build_evaluators(study, data_dir, mesh)
    assert (first.title, first.continues) == ("config.evals.a (validation_loss)", False)
    title = "config.evals.b (multiple_choice, task prose_continuation)"
    assert (second.title, second.continues) == (title, True)


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
            Evaluator("a", KIND, evaluation, IDENTITY)({})


MEASURED = Fixed(
    EvalResult(
        {"accuracy": ACCURACY.metric(Estimate(0.5, 0.25, 4), null_value=0.25)},
        ItemScores(list("abcd"), {"accuracy": np.array([1, 0, 0, 1])}, [], list("abcd")),
    )
)


def record(run_dir: Path) -> None:
    evaluator = Evaluator("prose", KIND, MEASURED, IDENTITY)
    with MetricsWriter(run_dir, LoggingConfig(write_tensorboard=False), "run") as writer:
        evaluator.record({}, writer, run_dir, step=7, tokens=700)


def test_the_record_states_what_the_metric_is(tmp_path: Path) -> None:
    record(tmp_path)
    (line,) = (tmp_path / "evals.jsonl").read_text().splitlines()
    found = json.loads(line)
    assert {suffix: of["bytes"] for suffix, of in found.pop("items").items()} == {
        path.suffix: path.stat().st_size for path in (tmp_path / "items").iterdir()
    }
    assert found == {
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
            "validation": {"rows": 5},
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
from codepretrain.errors import Interrupted, UserError
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


FAILS_ON_ONE = """
import pathlib

from codepretrain.config.schema import LoggingConfig
from codepretrain.evals.build import Evaluator
from codepretrain.evals.registry import evaluator_kind
from codepretrain.metrics.writer import MetricsWriter
from codepretrain.train.phase_evaluator import EvaluationError
from tests.evals.test_build import IDENTITY, MEASURED

class FailsOnOne:
    identity = {"items": "four"}

    def __call__(self, params, progress):
        if process == 1:
            raise OSError("no memory")
        return MEASURED.result

run_dir = pathlib.Path(arguments[0])
logging = LoggingConfig(write_tensorboard=False)
for continues in (True, False):
    evaluator = Evaluator(
        "x", evaluator_kind("multiple_choice"), FailsOnOne(), IDENTITY, continues=continues
    )
    with MetricsWriter(run_dir, logging, "run", resumed_step=7, is_primary=process == 0) as writer:
        try:
            evaluator.record({}, writer, run_dir, step=7, tokens=700)
            print("goes on")
        except EvaluationError as error:
            print(error)
"""


def test_an_evaluation_that_fails_in_one_process_fails_in_all(
    tmp_path: Path, run_job: RunJob
) -> None:
    for ended in run_job(FAILS_ON_ONE, tmp_path):
        assert ended.returncode == 0, ended.stderr
        first, second = ended.stdout.splitlines()
        assert first == "goes on"
        assert "failed at step 7: OSError: no memory" in second
    [record] = map(json.loads, (tmp_path / "evals.jsonl").read_text().splitlines())
    assert record["failure"] == "OSError: no memory"
    assert not (tmp_path / "items").exists()
