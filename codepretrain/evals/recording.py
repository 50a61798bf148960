"""Evaluates and puts what came out on disk."""

from pathlib import Path
from typing import Any

import jax

from codepretrain.evals.build import Evaluator
from codepretrain.evals.items import write_items
from codepretrain.metrics.writer import MetricsWriter


def record_evaluation(
    evaluator: Evaluator,
    params: Any,
    writer: MetricsWriter,
    run_dir: Path,
    *,
    step: int,
    tokens: int,
) -> None:
    """Evaluates and writes metrics and per-item scores."""
    result = evaluator(params)
    if jax.process_index() == 0:
        write_items(run_dir, evaluator.name, step, result.items)
    writer.log_evaluation(
        step=step,
        tokens=tokens,
        evaluator=evaluator.name,
        metrics={name: metric.to_json() for name, metric in result.metrics.items()},
    )
