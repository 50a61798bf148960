import dataclasses
import subprocess
import sys
import types
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from jax.sharding import Mesh

from codepretrain.config.schema import EvaluatorConfig, LoggingConfig, StudyConfig
from codepretrain.errors import UserError
from codepretrain.evals.build import build_evaluators
from codepretrain.evals.estimate import ratio_of_sums
from codepretrain.evals.evaluator import EvalResult, EvaluatorKind, Request
from codepretrain.evals.item_scores import ItemScores
from codepretrain.evals.metric import Metric, MetricSpec
from codepretrain.evals.progress import Progress
from codepretrain.evals.registry import KINDS, check_evaluators, evaluator_kind, evaluator_request
from codepretrain.evals.resources import Resources
from codepretrain.files import journal
from codepretrain.metrics.writer import MetricsWriter
from codepretrain.model.transformer import Params
from codepretrain.report.cells import MetricRow
from codepretrain.report.compare import headline_rows
from tests.configs import small_study


def with_evals(config: StudyConfig, evals: Mapping[str, EvaluatorConfig]) -> StudyConfig:
    return dataclasses.replace(config, evals=evals)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_declared_in_the_file_of_its_name(kind: str) -> None:
    declared = evaluator_kind(kind)
    assert declared.name == kind
    assert dataclasses.is_dataclass(declared.options)
    scores = [spec for spec in declared.metrics if spec.direction is not None]
    assert not scores or any(spec.is_primary for spec in scores)


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


def test_a_new_evaluator_is_one_module_and_one_name(
    config: StudyConfig,
    data_dir: Path,
    mesh: Mesh,
    sharded_params: Params,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is checked, built, run, recorded and compared; nothing else knows of it."""
    spec = MetricSpec(
        name="errors", unit="errors/page", direction="lower", cluster="page", is_primary=True
    )

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class PagesOptions:
        longest: int = 3

    class Pages:
        def __init__(self, request: Request[PagesOptions]) -> None:
            self.identity = {"items": "pages"}
            self._errors = np.arange(request.num_examples) % request.options.longest

        def __call__(self, params: Params, progress: Progress) -> EvalResult:
            estimate = ratio_of_sums(self._errors, np.ones(len(self._errors)))
            ids = [f"page {number}" for number in range(len(self._errors))]
            return EvalResult(
                {"errors": spec.metric(estimate, null_value=9.0)},
                ItemScores(ids, {"errors": self._errors}, [], ids),
            )

    def build(request: Request[PagesOptions], resources: Resources) -> Pages:
        return Pages(request)

    module = types.ModuleType("codepretrain.evals.pages")
    module.__dict__["EVALUATOR"] = EvaluatorKind(
        name="pages", options=PagesOptions, metrics=(spec,), build=build
    )
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr("codepretrain.evals.registry.KINDS", (*KINDS, "pages"))

    wrong = EvaluatorConfig(kind="pages", options={"longst": 4})
    with pytest.raises(UserError, match=r"config\.evals\.x\.options\.longst: .* mean longest"):
        check_evaluators(with_evals(config, {"x": wrong}))
    study = with_evals(config, {"x": EvaluatorConfig(kind="pages", num_examples=6)})
    (evaluator,) = build_evaluators(study, data_dir, mesh)
    with MetricsWriter(tmp_path, LoggingConfig(write_tensorboard=False), "run") as writer:
        evaluator.record(sharded_params, writer, tmp_path, step=1, tokens=10)
    (line,) = journal.read(tmp_path / "evals.jsonl")
    row = MetricRow.of("x", "errors", Metric.from_json(line["metrics"]["errors"]))
    assert headline_rows([row]) == (row,)
    assert (row.direction, row.unit, row.cluster) == ("lower", "errors/page", "page")
    assert line["metrics"]["errors"]["null_value"] == 9.0


def test_an_evaluation_of_a_study_that_holds_nothing_out_is_an_error() -> None:
    data = dataclasses.replace(small_study().data, validation_fraction=0.0)
    for kind, options in (
        ("validation_loss", {}),
        ("multiple_choice", {"task": "prose_continuation"}),
    ):
        chosen = EvaluatorConfig(kind=kind, options=options)
        study = dataclasses.replace(small_study(), data=data, evals={"x": chosen})
        with pytest.raises(UserError, match=r"config\.evals\.x needs held-out .*_fraction = 0 "):
            check_evaluators(study)
    check_evaluators(dataclasses.replace(study, evals={}))


def test_a_source_that_the_study_lacks_is_found_before_data_is_prepared(
    config: StudyConfig,
) -> None:
    evaluator = EvaluatorConfig(kind="validation_loss", options={"sources": "prose, prsoe"})
    with pytest.raises(UserError, match=r"config.evals.x.options.sources: there is no source 'prs"):
        check_evaluators(with_evals(config, {"x": evaluator}))
