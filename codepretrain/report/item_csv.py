"""The scores of every item as tidy CSV: a file per evaluation, a line per run, metric and item.

    variant,replicate,run,step,metric,item,cluster,stratum,value,weight

A run that several variants end with is there under each. The metric of a run is
Σ value / Σ weight over its lines.
"""

import csv
import io
from collections.abc import Iterator

from codepretrain.errors import UserError
from codepretrain.report.arms import ScoresReader
from codepretrain.report.collect import StudyResults
from codepretrain.report.evaluations import read_scores

COLUMNS = (
    *("variant", "replicate", "run", "step", "metric"),
    *("item", "cluster", "stratum", "value", "weight"),
)


def evaluators(results: StudyResults) -> list[str]:
    """Returns the evaluations that have results at the end of a variant."""
    found: dict[str, None] = {}
    for variant in results.spec.variants:
        for path in results.replicates(variant):
            run = path[-1]
            found |= {e.evaluator: None for e in run.evaluations if e.step == run.plan.steps}
    return list(found)


def item_csv(results: StudyResults, evaluator: str, *, read: ScoresReader = read_scores) -> str:
    """Returns the item scores of an evaluation at the ends of all variants, with a header.

    Args:
      read: returns the scores per item of an evaluation, by metric.

    Raises:
      UserError: a file of item scores is damaged.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for variant in results.spec.variants:
        for replicate, path in enumerate(results.replicates(variant)):
            evaluation = path[-1].at_end(evaluator)
            if evaluation is None:
                continue
            try:
                scores = read(evaluation)
            except ValueError as error:
                raise UserError(str(error)) from error
            for metric, of in scores.items():
                columns = (of.ids, of.clusters, of.filled_strata, of.values, of.filled_weights)
                for item in zip(*columns, strict=True):
                    writer.writerow(
                        (variant, replicate, path[-1].name, evaluation.step, metric, *_texts(item))
                    )
    return text.getvalue()


def _texts(item: tuple[object, ...]) -> Iterator[str]:
    """Yields the fields of an item; floats as the shortest text that reads back exactly."""
    for field in item:
        yield repr(float(field)) if isinstance(field, float) else str(field)
