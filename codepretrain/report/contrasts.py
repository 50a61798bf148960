"""The registered contrasts of a study, decided with the replicates that there are.

A contrast is between recipes if every arm has at least two replicates. Then runs and items are
crossed (`inference/crossed.py`), and its p-values are corrected over its family for differences and
equivalences together (`inference/families.py`). The family is as registered: a contrast that cannot
be decided counts with p = 1, so that a report of a part of the runs is not more lenient than the
last one. With one replicate in an arm the difference of the checkpoints is told, undecided.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from codepretrain.config.schema import ContrastConfig
from codepretrain.inference.families import adjusted_with_equivalence
from codepretrain.report.arms import ScoresReader, find_arm
from codepretrain.report.averaged import Averaged
from codepretrain.report.averages import METRIC
from codepretrain.report.cells import MetricRow
from codepretrain.report.collect import StudyResults
from codepretrain.report.compare import metric_rows
from codepretrain.report.contrast_estimate import estimate_contrast
from codepretrain.report.contrast_result import ContrastResult
from codepretrain.report.differences import Reader
from codepretrain.report.score_reader import ScoreReader


@dataclass(frozen=True)
class MetricSource:
    """Where the scores of a metric are: the study's evaluations, or its averages."""

    results: StudyResults
    row: MetricRow | None
    read: ScoresReader
    read_centered: ScoresReader | None


def decide_contrasts(
    results: StudyResults,
    averages: Averaged | None,
    problems: list[str],
    *,
    read: ScoresReader | None = None,
) -> tuple[ContrastResult, ...]:
    """Returns the study's registered contrasts, in its order.

    Args:
      averages: those of the study, None if it has none.
      problems: gets a line for every file of item scores that is damaged.
      read: returns the scores per item of an evaluation, by metric, and keeps them; None for a new
        reader.
    """
    reader = Reader(read or ScoreReader().of, problems)
    found = [
        _estimate(name, config, source_of(config.metric, results, averages, reader))
        for name, config in results.spec.contrasts.items()
    ]
    families: dict[str, list[ContrastResult]] = {}
    for one in found:
        families.setdefault(one.config.family, []).append(one)
    corrected = {one.name: one for of in families.values() for one in _corrected(of)}
    registered = results.spec.registrations
    return tuple(
        replace(corrected[name], registered=registered.get(name, "before"))
        for name in results.spec.contrasts
    )


def source_of(
    metric: str, results: StudyResults, averages: Averaged | None, reader: Reader
) -> MetricSource:
    """Returns where a metric is: of the averages, or `<evaluation>/<metric>`."""
    of_averages = results.spec.averages
    if averages is not None and metric in {**of_averages.categories, **of_averages.totals}:
        read = averages.averages.read
        row = _row(averages.results, metric, METRIC)
        return MetricSource(averages.results, row, read, partial(read, is_centered=True))
    evaluator, _, name = metric.partition("/")
    return MetricSource(results, _row(results, evaluator, name), reader.of, None)


def _row(results: StudyResults, evaluator: str, name: str) -> MetricRow | None:
    rows = [row for row in metric_rows(results) if (row.evaluator, row.name) == (evaluator, name)]
    return rows[0] if rows else None


def _estimate(name: str, config: ContrastConfig, source: MetricSource) -> ContrastResult:
    """Returns the contrast before the correction for others."""
    if source.row is None:
        missing = f"{config.metric} was not measured"
        return ContrastResult(name=name, config=config, missing=missing)
    found = {v: find_arm(source.results, v, source.row) for v in config.arms}
    return estimate_contrast(name, config, source.row, found, source.read, source.read_centered)


def _corrected(family: Sequence[ContrastResult]) -> list[ContrastResult]:
    """Returns the contrasts of a family with p-values for one statement over all its findings.

    What is not decided counts as 1, in each of the hypotheses that it was registered for. A guard
    has two, as a difference with a margin has: that the margin is exceeded, and that it is not.
    """
    is_difference = {one.name: one.config.direction != "equivalent" for one in family}
    differences = {r.name: _or_one(r.p_value) if is_difference[r.name] else None for r in family}
    margins = {
        r.name: _or_one(_of_margin(r)) if r.config.margin is not None else None for r in family
    }
    different, within = adjusted_with_equivalence(differences, margins)
    return [
        one
        if one.p_value is None
        else replace(
            one,
            adjusted_p=(different if is_difference[one.name] else within)[one.name],
            exceeded_p=within[one.name] if one.config.guarded else None,
            equivalence=one.equivalence.with_p_value(_or_one(within[one.name]))
            if one.equivalence
            else None,
        )
        for one in family
    ]


def _of_margin(result: ContrastResult) -> float | None:
    """Returns the p-value of the second hypothesis: equivalence, or that a guard is exceeded."""
    if result.config.guarded:
        return result.exceeded_p
    return result.equivalence.p_value if result.equivalence else None


def _or_one(p_value: float | None) -> float:
    return 1.0 if p_value is None else p_value
