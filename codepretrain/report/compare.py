"""Variants × metrics: each value with its interval, and its difference from the baseline.

A variant's values are those at the end of its last phase. Differences are paired wherever the item
scores of both runs were kept. Each variant is one run, so a difference is between two
checkpoints; it does not show that one recipe is better than another.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from codepretrain.evals.identity import differing
from codepretrain.evals.metric import Metric
from codepretrain.report.cells import (
    Cell,
    MetricRow,
    Outcome,
    cell_at_end,
    is_share_of_items,
    is_unanimous,
)
from codepretrain.report.collect import RunResults, StudyResults
from codepretrain.report.evaluations import Evaluation, read_scores
from codepretrain.report.paired import PairedScores, paired_difference
from codepretrain.report.statistics import (
    Difference,
    holm,
    unpaired_difference,
    unpaired_proportions,
)

MAX_PAIRS = 15

ScoresReader = Callable[[Evaluation], Mapping[str, PairedScores]]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Variants × metrics; values that were not measured have no cell."""

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
        """The cells of the primary metrics that have a difference from the baseline."""
        found = [self.cells.get((r, v)) for r in self.headline_rows for v in self.variants]
        return [cell for cell in found if cell is not None and cell.difference is not None]


def compare_to_baseline(results: StudyResults, *, read: ScoresReader = read_scores) -> Comparison:
    """Returns the comparison of all measured variants of the study.

    Args:
      read: returns the scores per item of an evaluation, by metric.
    """
    variants = tuple(results.spec.variants)
    rows = metric_rows(results)
    return compare(results, variants, rows=rows, baseline=results.spec.baseline, read=read)


def compare_pairs(results: StudyResults, *, read: ScoresReader = read_scores) -> list[Comparison]:
    """Returns the headline comparison of every two variants other than the baseline.

    The second variant is compared with the first. Of more than `MAX_PAIRS` pairs only those are
    compared whose variants share their first phase.
    """
    others = [v for v in results.spec.variants if v != results.spec.baseline]
    pairs = list(itertools.combinations(others, 2)) if results.spec.baseline else []
    if len(pairs) > MAX_PAIRS:
        first = {variant: phases[0] for variant, phases in results.spec.variants.items()}
        pairs = [(left, right) for left, right in pairs if first[left] == first[right]]
    rows = headline_rows(metric_rows(results))
    return [compare(results, pair, rows=rows, baseline=pair[0], read=read) for pair in pairs]


def compare(
    results: StudyResults,
    variants: tuple[str, ...],
    *,
    rows: tuple[MetricRow, ...],
    baseline: str | None,
    read: ScoresReader = read_scores,
) -> Comparison:
    """Returns the comparison of variants with one of them, the baseline."""
    runs = {variant: results.last_run(variant) for variant in variants}
    cells = {
        (row, variant): cell
        for row in rows
        for variant, run in runs.items()
        if (cell := cell_at_end(row, run)) is not None
    }
    problems: list[str] = []
    if baseline is not None:
        cells = _with_differences(cells, runs, baseline=baseline, read=read, problems=problems)
    headline = headline_rows(rows)
    others = tuple(row for row in rows if row not in headline)
    # Other scores measure the same things in another way. They are not independent findings, so
    # they are corrected separately.
    return Comparison(
        baseline=baseline,
        variants=variants,
        rows=rows,
        cells=_adjusted(_adjusted(cells, headline), others),
        problems=tuple(dict.fromkeys(problems)),
    )


def metric_rows(results: StudyResults) -> tuple[MetricRow, ...]:
    """Returns the metrics of all variants, in the order in which the evaluators report them."""
    runs = [results.last_run(variant) for variant in results.spec.variants]
    found: dict[MetricRow, None] = {}
    for run in runs:
        for evaluation in run.evaluations:
            for name, metric in evaluation.metrics.items():
                found.setdefault(MetricRow.of(evaluation.evaluator, name, metric))
    evaluators = list(dict.fromkeys(row.evaluator for row in found))
    return tuple(sorted(found, key=lambda row: evaluators.index(row.evaluator)))


def headline_rows(rows: Sequence[MetricRow]) -> tuple[MetricRow, ...]:
    """Returns the primary metrics. Others are secondary or descriptive."""
    return tuple(row for row in rows if row.is_primary)


def _with_differences(
    cells: Mapping[tuple[MetricRow, str], Cell],
    runs: Mapping[str, RunResults],
    *,
    baseline: str,
    read: ScoresReader,
    problems: list[str],
) -> dict[tuple[MetricRow, str], Cell]:
    scores: dict[tuple[str, str], Mapping[str, PairedScores]] = {}

    def evaluation_of(variant: str, row: MetricRow) -> Evaluation:
        evaluation = runs[variant].at_end(row.evaluator)
        assert evaluation is not None, "a cell is of an evaluation"
        return evaluation

    def scores_of(variant: str, row: MetricRow) -> PairedScores | None:
        key = (variant, row.evaluator)
        if key not in scores:
            evaluation = evaluation_of(variant, row)
            try:
                scores[key] = read(evaluation)
            except ValueError as error:
                problems.append(str(error))
                scores[key] = {}
        return scores[key].get(row.name)

    compared = dict(cells)
    for (row, variant), cell in cells.items():
        reference = cells.get((row, baseline))
        same_run = runs[variant].plan.run_dir == runs[baseline].plan.run_dir
        if reference is None or same_run or not row.is_score:
            continue
        ours, theirs = evaluation_of(variant, row), evaluation_of(baseline, row)
        if ours.digest != theirs.digest:
            reason = f"differs from {baseline} in {differing(ours.identity, theirs.identity)}"
            problems.append(
                f"{row.evaluator} of {variant} {reason}, so they are not compared: run "
                f"`codepretrain evaluate --phase {runs[variant].name} --phase "
                f"{runs[baseline].name}`"
            )
            compared[row, variant] = dataclasses.replace(cell, not_compared=reason)
            continue
        pair = scores_of(variant, row), scores_of(baseline, row)
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
    scores: tuple[PairedScores | None, PairedScores | None],
) -> Difference:
    if scores[0] is None or scores[1] is None:
        if all(is_share_of_items(row, m) or is_unanimous(row, m) for m in (ours, baseline)):
            return unpaired_proportions((ours.value, ours.count), (baseline.value, baseline.count))
        return unpaired_difference(
            (ours.value, ours.standard_error),
            (baseline.value, baseline.standard_error),
            freedom=min(ours.freedom, baseline.freedom),
            num_items=min(ours.num_items, baseline.num_items),
        )
    difference = paired_difference(scores[0], scores[1], is_fraction=row.is_percentage)
    gap = ours.value - baseline.value
    are_nan = math.isnan(difference.value) and math.isnan(gap)
    if not are_nan and not math.isclose(difference.value, gap, rel_tol=1e-4, abs_tol=1e-6):
        raise ValueError(
            f"{row.name}: the item scores differ by {difference.value:.6g} and the metrics by "
            f"{gap:.6g}: the kept items are not those of this evaluation"
        )
    return difference


def _outcome(row: MetricRow, difference: Difference) -> Outcome:
    if difference.verdict == "not distinguishable":
        return "not distinguishable"
    return "favorable" if difference.verdict == row.direction else "unfavorable"


def _adjusted(
    cells: Mapping[tuple[MetricRow, str], Cell], rows: Sequence[MetricRow]
) -> dict[tuple[MetricRow, str], Cell]:
    """Returns the cells, with p-values after Holm for those of `rows`."""
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
