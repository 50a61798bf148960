"""The scores of every item as tidy CSV: a file per evaluation, a line per run, metric and item.

    variant,replicate,run,step,metric,item,cluster,stratum,value,weight

A run that several variants end with is there under each. The metric of a run is
Σ value / Σ weight over its lines.
"""

import csv
import io
from collections.abc import Iterator, Sequence

from etils import epath
from rich.console import Console

from codepretrain.errors import DamageError
from codepretrain.files.atomic import write_text
from codepretrain.report.arms import ScoresReader
from codepretrain.report.collect import StudyResults
from codepretrain.report.content import Content
from codepretrain.report.evaluations import read_scores

ITEMS = "items"  # the folder of these files in that of a report
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
      DamageError: files of item scores are lost; says which.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    lost: dict[str, None] = {}
    for variant in results.spec.variants:
        for replicate, path in enumerate(results.replicates(variant)):
            evaluation = path[-1].at_end(evaluator)
            if evaluation is None:
                continue
            try:
                scores = read(evaluation)
            except ValueError as error:
                lost[str(error)] = None
                continue
            for metric, of in scores.items():
                columns = (of.ids, of.clusters, of.filled_strata, of.values, of.filled_weights)
                for item in zip(*columns, strict=True):
                    writer.writerow(
                        (variant, replicate, path[-1].name, evaluation.step, metric, *_texts(item))
                    )
    if lost:
        raise DamageError("; ".join(lost))
    return text.getvalue()


def write_items(contents: Sequence[tuple[Content, epath.Path]], console: Console | None) -> None:
    """Writes the files of studies.

    Args:
      contents: of each study, and the folder of its report.
      console: gets where the files are; None prints nothing.

    Raises:
      DamageError: files of item scores are lost. Those of other evaluations are written.
    """
    lost: dict[str, None] = {}
    for content, folder in contents:
        for evaluator in sorted(evaluators(content.results)):
            path = folder / ITEMS / f"{evaluator}.csv"
            try:
                write_text(path, item_csv(content.results, evaluator, read=content.reader.of))
            except DamageError as error:
                lost[f"--items: {path} is not written: {error}"] = None
                continue
            if console is not None:
                console.print(f"item scores: {path}", soft_wrap=True, markup=False)
    if lost:
        raise DamageError("; ".join(lost))


def _texts(item: tuple[object, ...]) -> Iterator[str]:
    """Yields the fields of an item; floats as the shortest text that reads back exactly."""
    for field in item:
        yield repr(float(field)) if isinstance(field, float) else str(field)
