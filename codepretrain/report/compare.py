"""Variants × metrics: each value with its interval, and its difference from the baseline.

A variant's values are those at the end of its last phase, the mean over its replicates where there
are several. Differences are paired by item wherever the item scores were kept. What a difference is
between, two checkpoints or two recipes, is `Difference.between`.
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from codepretrain.inference.families import adjusted
from codepretrain.report.arms import ScoresReader, find_arm, share_a_run
from codepretrain.report.cells import Cell, MetricRow
from codepretrain.report.collect import StudyResults
from codepretrain.report.differences import Reader, arm_cell, with_difference
from codepretrain.report.score_reader import ScoreReader

MAX_PAIRS = 15


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


def compare_to_baseline(results: StudyResults, *, read: ScoresReader | None = None) -> Comparison:
    """Returns the comparison of all measured variants of the study.

    Args:
      read: returns the scores per item of an evaluation, by metric, and keeps them; None for a new
        reader.
    """
    variants = tuple(results.spec.variants)
    rows = metric_rows(results)
    return compare(results, variants, rows=rows, baseline=results.spec.baseline, read=read)


def compare_pairs(results: StudyResults, *, read: ScoresReader | None = None) -> list[Comparison]:
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
    read = read or ScoreReader().of
    return [compare(results, pair, rows=rows, baseline=pair[0], read=read) for pair in pairs]


def compare(
    results: StudyResults,
    variants: tuple[str, ...],
    *,
    rows: tuple[MetricRow, ...],
    baseline: str | None,
    read: ScoresReader | None = None,
) -> Comparison:
    """Returns the comparison of variants with one of them, the baseline."""
    problems: list[str] = []
    reader = Reader(read or ScoreReader().of, problems)
    cells: dict[tuple[MetricRow, str], Cell] = {}
    for row in rows:
        arms = {v: arm for v in variants if (arm := find_arm(results, v, row)) is not None}
        reference = arms.get(baseline) if baseline is not None else None
        for variant, arm in arms.items():
            cell = arm_cell(arm, reader)
            if reference is not None and row.is_score and not share_a_run(arm, reference):
                cell = with_difference(cell, arm, reference, reader)
            cells[row, variant] = cell
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
    variants = results.spec.variants
    runs = [path[-1] for variant in variants for path in results.replicates(variant)]
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


def decided_rows(results: StudyResults, comparison: Comparison) -> tuple[MetricRow, ...]:
    """Returns the primary metrics and those of the registered contrasts and of the Pareto plot."""
    spec = results.spec
    chosen = {*spec.pareto, *(contrast.metric for contrast in spec.contrasts.values())}
    return tuple(
        row
        for row in comparison.rows
        if row.is_primary or (row.is_score and f"{row.evaluator}/{row.name}" in chosen)
    )


def _adjusted(
    cells: Mapping[tuple[MetricRow, str], Cell], rows: Sequence[MetricRow]
) -> dict[tuple[MetricRow, str], Cell]:
    """Returns the cells, with p-values after Holm for those of `rows`."""
    p_values = {
        key: cell.difference.p_value
        for key, cell in cells.items()
        if cell.difference is not None and key[0] in rows
    }
    corrected = adjusted(p_values, method="holm")
    return {
        key: dataclasses.replace(cell, adjusted_p=corrected.get(key, cell.adjusted_p))
        for key, cell in cells.items()
    }
