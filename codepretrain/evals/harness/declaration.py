"""The declaration of the evaluator. Imports neither the harness nor JAX."""

from typing import TYPE_CHECKING

from codepretrain.evals.evaluator import EvaluatorKind, Request
from codepretrain.evals.harness.libraries import PACKAGES, require
from codepretrain.evals.harness.metrics import SPECS
from codepretrain.evals.harness.options import HarnessOptions, check_options, suite_tasks

if TYPE_CHECKING:
    from codepretrain.evals.evaluator import Evaluation
    from codepretrain.evals.resources import Resources


def _check_data(request: Request[HarnessOptions]) -> None:
    """Raises UserError if a package is missing, or data of a task: names all of it."""
    require(*PACKAGES, reader=f'{request.path} (kind "harness")')
    from codepretrain.evals.harness.load_tasks import check_data

    check_data(request.options, path=request.path)


def _build(request: Request[HarnessOptions], resources: "Resources") -> "Evaluation":
    from codepretrain.evals.harness.evaluation import build_evaluation

    return build_evaluation(request, resources)


EVALUATOR = EvaluatorKind(
    name="harness",
    options=HarnessOptions,
    metrics=SPECS,
    build=_build,
    check=check_options,
    check_data=_check_data,
    subjects=lambda request, config: suite_tasks(request.options),
    reads_held_out=False,
    execution_options=frozenset({"data", "include_path"}),
)
