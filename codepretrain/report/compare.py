"""Variants × metrics: each value with its interval, and its difference to the baseline.

A variant is judged by the evaluations at the end of its last phase. Differences are paired wherever
the item scores of both runs are on disk.
"""

import dataclasses
import itertools
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from codepretrain.evals.metric import Metric
from codepretrain.report.collect import RunResults, StudyResults, read_items
from codepretrain.report.statistics import (
    CONFIDENCE,
    Difference,
    Interval,
    PairedScores,
    holm,
    normal_interval,
    paired_difference,
    unpaired_difference,
    wilson_interval,
)

MAX_PAIRS = 15
_PRIMARY = ("nats_per_token", "accuracy", "pass_at_1")
Outcome = Literal["better", "worse", "not distinguishable"]


@dataclass(frozen=True, order=True)
class MetricRow:
    """One metric of one evaluator: a row of the table."""

    evaluator: str
    name: str
    unit: str

    @property
    def lower_is_better(self) -> bool:
        return self.unit.startswith(("nats", "bits"))

    @property
    def is_percentage(self) -> bool:
        return self.unit in ("fraction", "share")

    @property
    def is_score(self) -> bool:
        """Whether more, or less, of it is better. A share of answers or a chance level is not."""
        return self.unit != "share"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One variant's value. `difference` is to the baseline: None for itself and where it has none.

    adjusted_p: the difference's p-value after Holm over all differences of the table.
    """

    run: str
    step: int
    metric: Metric
    interval: Interval
    difference: Difference | None = None
    adjusted_p: float | None = None
    outcome: Outcome | None = None

    @property
    def survives_holm(self) -> bool:
        return self.adjusted_p is not None and self.adjusted_p < 1 - CONFIDENCE


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Variants × metrics; `cells` lacks what was not measured."""

    baseline: str | None
    variants: tuple[str, ...]
    rows: tuple[MetricRow, ...]
    cells: Mapping[tuple[MetricRow, str], Cell]
    problems: tuple[str, ...]

    @property
    def headline_rows(self) -> tuple[MetricRow, ...]:
        return headline_rows(self.rows)

    @property
    def headline_differences(self) -> list[Cell]:
        """The cells whose differences are the comparison's findings."""
        found = [self.cells.get((r, v)) for r in self.headline_rows for v in self.variants]
        return [cell for cell in found if cell is not None and cell.difference is not None]


def compare_to_baseline(results: StudyResults) -> Comparison:
    """Returns the comparison of all variants of the study that have been measured."""
    variants = tuple(results.spec.variants)
    rows = metric_rows(results)
    return compare(results, variants, rows=rows, baseline=results.spec.baseline)


def compare_pairs(results: StudyResults) -> list[Comparison]:
    """Returns the headline comparison of each two variants beside the baseline, later to earlier.

    Where there are many, only those of variants that share a trunk: they differ by what came after.
    """
    others = [v for v in results.spec.variants if v != results.spec.baseline]
    pairs = list(itertools.combinations(others, 2)) if results.spec.baseline else []
    if len(pairs) > MAX_PAIRS:
        first = {variant: phases[0] for variant, phases in results.spec.variants.items()}
        pairs = [(left, right) for left, right in pairs if first[left] == first[right]]
    rows = headline_rows(metric_rows(results))
    return [compare(results, pair, rows=rows, baseline=pair[0]) for pair in pairs]


def compare(
    results: StudyResults,
    variants: tuple[str, ...],
    *,
    rows: tuple[MetricRow, ...],
    baseline: str | None,
) -> Comparison:
    """Returns the comparison of some variants with one of them."""
    runs = {variant: results.last_run(variant) for variant in variants}
    cells = {
        (row, variant): cell
        for row in rows
        for variant, run in runs.items()
        if (cell := cell_at_end(row, run)) is not None
    }
    problems: list[str] = []
    if baseline is not None:
        cells = _with_differences(cells, runs, baseline=baseline, problems=problems)
    headline = headline_rows(rows)
    others = tuple(row for row in rows if row not in headline)
    # The same findings measured again are no further findings: they are corrected by themselves.
    return Comparison(
        baseline=baseline,
        variants=variants,
        rows=rows,
        cells=_adjusted(_adjusted(cells, headline), others),
        problems=tuple(dict.fromkeys(problems)),
    )


def metric_rows(results: StudyResults) -> tuple[MetricRow, ...]:
    """Returns the metrics of all variants, in the order in which the evaluators give them."""
    runs = [results.last_run(variant) for variant in results.spec.variants]
    found: dict[MetricRow, None] = {}
    for run in runs:
        for evaluation in run.evaluations:
            for name, metric in evaluation.metrics.items():
                found.setdefault(MetricRow(evaluation.evaluator, name, metric.unit))
    evaluators = list(dict.fromkeys(row.evaluator for row in found))
    return tuple(sorted(found, key=lambda row: evaluators.index(row.evaluator)))


def headline_rows(rows: Sequence[MetricRow]) -> tuple[MetricRow, ...]:
    """Returns the scores that answer the question: of each evaluator, the measure it is known by.

    Bits per byte beside nats per token, or accuracy per byte beside accuracy, are the same finding
    measured again.
    """
    known_by = {row.evaluator for row in rows if row.name.split("/")[-1] in _PRIMARY}
    return tuple(
        row
        for row in rows
        if row.is_score and (row.evaluator not in known_by or row.name.split("/")[-1] in _PRIMARY)
    )


def metric_interval(row: MetricRow, metric: Metric) -> Interval:
    """Returns the metric's own interval: Wilson's for proportions, the normal one for the rest."""
    if row.unit == "fraction":
        return wilson_interval(metric.value, metric.count)
    return normal_interval(metric.value, metric.standard_error)


def cell_at_end(row: MetricRow, run: RunResults) -> Cell | None:
    """Returns a run's metric at its last step, None if it was not measured."""
    evaluation = run.at_end(row.evaluator)
    metric = evaluation.metrics.get(row.name) if evaluation else None
    if evaluation is None or metric is None:
        return None
    return Cell(
        run=run.name, step=evaluation.step, metric=metric, interval=metric_interval(row, metric)
    )


def _with_differences(
    cells: Mapping[tuple[MetricRow, str], Cell],
    runs: Mapping[str, RunResults],
    *,
    baseline: str,
    problems: list[str],
) -> dict[tuple[MetricRow, str], Cell]:
    items: dict[tuple[str, str], Mapping[str, PairedScores]] = {}

    def items_of(variant: str, row: MetricRow) -> PairedScores | None:
        key = (variant, row.evaluator)
        if key not in items:
            run = runs[variant]
            try:
                items[key] = read_items(run, step=run.plan.steps, evaluator=row.evaluator)
            except ValueError as error:
                problems.append(str(error))
                items[key] = {}
        return items[key].get(row.name)

    compared = dict(cells)
    for (row, variant), cell in cells.items():
        reference = cells.get((row, baseline))
        same_run = runs[variant].plan.run_dir == runs[baseline].plan.run_dir
        if reference is None or same_run or not row.is_score:
            continue
        pair = items_of(variant, row), items_of(baseline, row)
        try:
            difference = _take_difference(row, cell.metric, reference.metric, pair)
        except ValueError as error:
            problems.append(f"{row.evaluator} of {variant}: {error}")
            difference = _take_difference(row, cell.metric, reference.metric, (None, None))
        outcome = _outcome(row, difference)
        compared[row, variant] = dataclasses.replace(cell, difference=difference, outcome=outcome)
    return compared


def _take_difference(
    row: MetricRow,
    ours: Metric,
    baseline: Metric,
    items: tuple[PairedScores | None, PairedScores | None],
) -> Difference:
    if items[0] is None or items[1] is None:
        return unpaired_difference(
            (ours.value, ours.standard_error),
            (baseline.value, baseline.standard_error),
            num_items=min(ours.count, baseline.count),
        )
    seed = zlib.crc32(f"{row.evaluator}/{row.name}".encode())
    difference = paired_difference(items[0], items[1], seed=seed)
    gap = ours.value - baseline.value
    if not math.isclose(difference.value, gap, rel_tol=1e-4, abs_tol=1e-6):
        raise ValueError(
            f"{row.name}: the item scores differ by {difference.value:.6g}, the metrics by "
            f"{gap:.6g}; the items on disk are not those of this evaluation"
        )
    return difference


def _outcome(row: MetricRow, difference: Difference) -> Outcome:
    if difference.verdict == "not distinguishable":
        return "not distinguishable"
    return "better" if (difference.verdict == "lower") == row.lower_is_better else "worse"


def _adjusted(
    cells: Mapping[tuple[MetricRow, str], Cell], rows: Sequence[MetricRow]
) -> dict[tuple[MetricRow, str], Cell]:
    """Returns the cells, those of `rows` with p-values after Holm."""
    p_values = {
        key: cell.difference.p_value
        for key, cell in cells.items()
        if cell.difference is not None and key[0] in rows
    }
    adjusted = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    return {
        key: dataclasses.replace(cell, adjusted_p=adjusted.get(key, cell.adjusted_p))
        for key, cell in cells.items()
    }
