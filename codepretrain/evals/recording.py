"""Runs an evaluation and records its result in the run's folder."""

from typing import TYPE_CHECKING

from etils import epath

from codepretrain.evals.build import Evaluator
from codepretrain.evals.item_scores import write_item_scores
from codepretrain.hosts import decide
from codepretrain.metrics.writer import MetricsWriter

if TYPE_CHECKING:
    from codepretrain.model.transformer import Params


def record_evaluation(
    evaluator: Evaluator,
    params: "Params",
    writer: MetricsWriter,
    run_dir: epath.Path,
    *,
    step: int,
    tokens: int,
) -> None:
    """Evaluates on every process; process 0 writes the metrics and the scores of the items.

    Raises:
      UserError: on every process, if process 0 cannot write.
    """
    result = evaluator(params)
    metrics = {name: metric.to_json() for name, metric in result.metrics.items()}

    def write() -> None:
        write_item_scores(run_dir, evaluator.name, step, result.items)
        writer.log_evaluation(step=step, tokens=tokens, evaluator=evaluator.name, metrics=metrics)

    decide(f"the record of evaluation {evaluator.name!r}", write)
