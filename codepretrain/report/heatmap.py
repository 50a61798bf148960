"""Tasks × variants: differences from the baseline in units of the noise of each task.

With replicates the unit is σ_run, the standard deviation between runs of one recipe, so that
tasks of unlike scales and items compare. Without independent ones it is the standard error over
items, and the differences are between checkpoints, or recipes that start from one. A cell is marked
if its difference is found after Benjamini and Hochberg's correction over all cells: the interval
with the coverage 1 − 5%·found/cells excludes 0.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from codepretrain.inference.crossed import contrast
from codepretrain.inference.effects import Effect
from codepretrain.inference.families import adjusted
from codepretrain.inference.interval import CONFIDENCE
from codepretrain.report.arms import find_arm
from codepretrain.report.cells import Cell, MetricRow
from codepretrain.report.collect import StudyResults
from codepretrain.report.compare import Comparison
from codepretrain.report.differences import Reader, scores_of
from codepretrain.report.noise_rows import run_noise
from codepretrain.report.statistics import Difference
from codepretrain.report.wording import AVERAGE

Unit = Literal["run", "item"]


@dataclass(frozen=True, kw_only=True)
class HeatCell:
    """A difference from the baseline.

    Attributes:
      scaled: in the unit of the map; positive in the direction of the metric.
      standard_error: that is the unit, where it is over items.
      adjusted_p: after the correction; None for a difference of checkpoints beside those of
        recipes, which is not tested.
    """

    difference: Difference
    scaled: float
    standard_error: float | None = None
    adjusted_p: float | None = None

    @property
    def is_found(self) -> bool:
        return self.adjusted_p is not None and self.adjusted_p < 1 - CONFIDENCE


@dataclass(frozen=True, kw_only=True)
class HeatRow:
    """A task.

    Attributes:
      group: the average that it is part of; "" for others.
      run_sd: σ_run, from `num_runs` runs; None in a map whose unit is over items.
      cells: variant → cell; without the baseline, and variants that end in its runs.
    """

    group: str
    row: MetricRow
    run_sd: Effect | None
    num_runs: int
    cells: Mapping[str, HeatCell]


@dataclass(frozen=True, kw_only=True)
class Heatmap:
    """Differences of variants from the baseline; `num_tested` are corrected together.

    is_of_checkpoints: whether no difference is between recipes. Where one is, only such are tested.
    """

    baseline: str
    unit: Unit
    variants: tuple[str, ...]
    rows: tuple[HeatRow, ...]
    num_tested: int
    is_of_checkpoints: bool

    def to_json(self) -> dict[str, Any]:
        return {
            "baseline": self.baseline,
            "unit": {"run": "σ_run", "item": "standard error over items"}[self.unit],
            "num_tested": self.num_tested,
            "cells": [
                {
                    "group": of.group,
                    "evaluator": of.row.evaluator,
                    "name": of.row.name,
                    "variant": variant,
                    "scaled": cell.scaled,
                    "difference": cell.difference.value,
                    "between": cell.difference.between.text,
                    "run_sd": of.run_sd,
                    "num_runs": of.num_runs,
                    "standard_error": cell.standard_error,
                    "p_value": cell.difference.p_value,
                    "adjusted_p": cell.adjusted_p,
                    "is_found": cell.is_found,
                }
                for of in self.rows
                for variant, cell in of.cells.items()
            ],
        }


def heatmap(results: StudyResults, comparison: Comparison, reader: Reader) -> Heatmap | None:
    """Returns the map of a study, None if nothing is compared with a baseline.

    Args:
      reader: of the study's item scores.
    """
    if comparison.baseline is None:
        return None
    named = list(task_rows(results, comparison))
    noise = {row: run_noise(results, row) for _, row in named}
    unit: Unit = "run" if any(spread is not None for spread, _ in noise.values()) else "item"
    rows = []
    for group, row in named:
        spread, num_runs = noise[row]
        cells = {}
        for variant in comparison.variants:
            cell = comparison.cells.get((row, variant))
            if cell is None or cell.difference is None:
                continue
            error = None if unit == "run" else _item_error(results, row, variant, cell, reader)
            size = spread.value if spread is not None else error
            if size is not None and size > 0:
                sign = 1 if row.direction == "higher" else -1
                scaled = sign * cell.difference.value / size
                cells[variant] = HeatCell(
                    difference=cell.difference, scaled=scaled, standard_error=error
                )
        if cells:
            rows.append(
                HeatRow(group=group, row=row, run_sd=spread, num_runs=num_runs, cells=cells)
            )
    return _corrected(comparison, unit, rows) if rows else None


def task_rows(results: StudyResults, comparison: Comparison) -> Iterator[tuple[str, MetricRow]]:
    """Yields (category, score) of the study's averages, then its other primary metrics.

    A score of several categories is with the first. An evaluation's own average over tasks is left
    out where its tasks are there.
    """
    by_name = {f"{row.evaluator}/{row.name}": row for row in comparison.rows if row.is_score}
    seen = set()
    for category, scores in results.spec.averages.categories.items():
        for score in scores:
            row = by_name.get(score)
            if row is not None and row not in seen:
                seen.add(row)
                yield category, row
    evaluators = {row.evaluator for row in seen}
    for row in comparison.headline_rows:
        if row not in seen and not (row.name == AVERAGE and row.evaluator in evaluators):
            yield "", row


def _item_error(
    results: StudyResults, row: MetricRow, variant: str, cell: Cell, reader: Reader
) -> float | None:
    """Returns the standard error of a difference over items; from the metrics if none were kept."""
    assert results.spec.baseline is not None
    arms = [find_arm(results, name, row) for name in (variant, results.spec.baseline)]
    found = [arm for arm in arms if arm is not None]
    assert len(found) == 2, "there is a difference"
    if cell.difference is not None and cell.difference.is_paired:
        scores = scores_of(found, reader.of)
        if scores is not None:
            return contrast(scores, [1.0, -1.0], between="checkpoints").standard_error
    return math.hypot(*(arm.metrics[0].standard_error for arm in found))


def _corrected(comparison: Comparison, unit: Unit, rows: Sequence[HeatRow]) -> Heatmap:
    assert comparison.baseline is not None
    cells = [cell for of in rows for cell in of.cells.values()]
    is_of_checkpoints = not any(cell.difference.between.are_recipes for cell in cells)
    tested = {
        (of.row, variant): cell.difference.p_value
        for of in rows
        for variant, cell in of.cells.items()
        if is_of_checkpoints or cell.difference.between.are_recipes
    }
    p_values = adjusted(tested, method="benjamini-hochberg")
    with_p = [_with_p_values(of, p_values) for of in rows]
    shown = {variant for of in rows for variant in of.cells}
    return Heatmap(
        baseline=comparison.baseline,
        unit=unit,
        variants=tuple(variant for variant in comparison.variants if variant in shown),
        rows=tuple(with_p),
        num_tested=len(tested),
        is_of_checkpoints=is_of_checkpoints,
    )


def _with_p_values(of: HeatRow, p_values: Mapping[tuple[MetricRow, str], float]) -> HeatRow:
    cells = {
        variant: replace(cell, adjusted_p=p_values.get((of.row, variant)))
        for variant, cell in of.cells.items()
    }
    return replace(of, cells=cells)
