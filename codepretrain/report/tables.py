"""The tables of the comparison as rows of text, without markup."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from codepretrain.report.answers import baseline_notes
from codepretrain.report.arms import Arm, ScoresReader, find_arm
from codepretrain.report.cells import Cell, MetricRow
from codepretrain.report.collect import StudyResults
from codepretrain.report.compare import Comparison
from codepretrain.report.differences import Reader, arm_cell
from codepretrain.report.findings import is_tentative
from codepretrain.report.phases import by_phase
from codepretrain.report.score_reader import ScoreReader
from codepretrain.report.wording import (
    AVERAGE,
    NOT_THERE,
    difference_interval_text,
    difference_text,
    difference_unit,
    direction_text,
    interval_text,
    label,
    value_text,
    verdict_text,
)

MAX_VARIANTS = 5  # side by side; more do not fit a printed page
_MAX_TASKS = 4  # named in the notes of an average


@dataclass(frozen=True)
class Block:
    """Variants side by side, the baseline first in every block. rows: (metric, its cells)."""

    variants: tuple[str, ...]
    rows: tuple[tuple[MetricRow, tuple[Cell | None, ...]], ...]

    def groups(self) -> Iterator[tuple[str, list[tuple[MetricRow, tuple[Cell | None, ...]]]]]:
        """Yields (title, rows) once a title: losses, tasks, and each evaluator's other scores."""
        of_tasks = {row.evaluator for row, _ in self.rows if row.direction == "higher"}
        found: dict[str, list[tuple[MetricRow, tuple[Cell | None, ...]]]] = {}
        for row, cells in self.rows:
            found.setdefault(_group(row, of_tasks), []).append((row, cells))
        yield from found.items()


def _group(row: MetricRow, of_tasks: AbstractSet[str]) -> str:
    """Returns the title above a metric; a loss of an evaluator of tasks is shown with its tasks."""
    if not row.is_score:
        return f"{row.evaluator}: descriptions".replace("_", " ")
    is_loss = row.direction == "lower" and row.evaluator not in of_tasks
    return "Held-out loss" if is_loss else "Tasks"


def blocks(
    comparison: Comparison, rows: tuple[MetricRow, ...], *, max_variants: int = MAX_VARIANTS
) -> list[Block]:
    """Returns the comparison divided into tables that fit the width of a page."""
    others = [v for v in comparison.variants if v != comparison.baseline]
    first = [comparison.baseline] if comparison.baseline is not None else []
    width = max_variants - len(first)
    starts = range(0, max(1, len(others)), width)
    return [_block(comparison, rows, (*first, *others[i : i + width])) for i in starts]


def _block(comparison: Comparison, rows: tuple[MetricRow, ...], variants: tuple[str, ...]) -> Block:
    filled = [(row, tuple(comparison.cells.get((row, v)) for v in variants)) for row in rows]
    return Block(variants, tuple(filled))


def number_rows(comparison: Comparison) -> list[dict[str, str]]:
    """Returns the origin of each number of the comparison: run, step, items, method."""
    rows = []
    for (row, variant), cell in comparison.cells.items():
        difference = cell.difference
        rows.append(
            {
                "metric": f"{row.evaluator}: {row.name}",
                "variant": variant,
                "run": ", ".join(cell.runs),
                "step": f"{cell.step:,}",
                "digest": cell.digest[:12],
                "command": _evaluate(cell),
                "value": value_text(row, cell.metric.value),
                "interval": interval_text(row, cell.interval),
                "count": f"{cell.metric.num_items:,}",
                "clusters": f"{cell.metric.count:,} × {row.cluster}",
                "difference": difference_text(row, difference) if difference else NOT_THERE,
                "adjusted_p": f"{cell.adjusted_p:.2g}" if cell.adjusted_p is not None else "",
                "between": difference.between.text if difference else "",
                "method": difference.method if difference else "",
            }
        )
    return rows


def _evaluate(cell: Cell) -> str:
    """Returns the command that evaluates a cell's checkpoints again, if they have no result."""
    phases = " ".join(f"--phase {run}" for run in cell.runs)
    return f"codepretrain evaluate {phases} --step {cell.step}"


def cell_view(row: MetricRow, cell: Cell) -> dict[str, Any]:
    """Returns one cell of the comparison as text."""
    view: dict[str, Any] = {
        "value": value_text(row, cell.metric.value),
        "interval": interval_text(row, cell.interval),
        "outcome": cell.outcome,
        "is_tentative": is_tentative(cell),
    }
    if cell.not_compared:
        view["not_compared"] = cell.not_compared
    if cell.difference is not None:
        view["verdict"] = verdict_text(row, cell.difference)
        view["difference"] = difference_text(row, cell.difference)
        view["difference_interval"] = difference_interval_text(row, cell.difference)
    return view


def row_view(comparison: Comparison, row: MetricRow) -> dict[str, str]:
    """Returns a metric as text: its name, its unit, which direction is better, and baselines."""
    notes = ["%" if row.is_percentage else row.unit, direction_text(row)]
    notes += [*_averaged(comparison, row), *baseline_notes(comparison, row)]
    return {
        "label": label(row, comparison.rows),
        "notes": ", ".join(note for note in notes if note),
        "difference_unit": difference_unit(row),
    }


def _averaged(comparison: Comparison, row: MetricRow) -> list[str]:
    """Returns what an evaluator's average is the mean of: its categories, or else its tasks."""
    if row.name != AVERAGE:
        return []
    names = [other.name for other in comparison.rows if other.evaluator == row.evaluator]
    parts = [name.removeprefix(f"{AVERAGE}/") for name in names if name.startswith(f"{AVERAGE}/")]
    what = "mean of"
    if f"unfiltered_{AVERAGE}" in names:
        what = "without the excluded tasks, mean of"
        parts = parts or ["the others"]
    if not parts:
        parts = list(dict.fromkeys(name.split("/")[0] for name in names if "/" in name))
    if not parts:
        return []  # an average of the study, whose section says what it is of
    shown = ", ".join(parts[:_MAX_TASKS]) + (" …" if len(parts) > _MAX_TASKS else "")
    return [f"{what} {shown.replace('_', ' ')}"]


def pair_rows(pairs: Sequence[Comparison]) -> list[dict[str, Any]]:
    """Returns one row per pair: the second variant minus the first, per headline metric."""
    rows = []
    for pair in pairs:
        first, second = pair.variants
        if pair.headline_differences:
            cells = [(row, pair.cells.get((row, second))) for row in pair.headline_rows]
            views = [cell_view(row, cell) if cell is not None else None for row, cell in cells]
            rows.append({"variant": second, "reference": first, "cells": views})
    return rows


def end_rows(
    results: StudyResults, rows: Sequence[MetricRow], *, read: ScoresReader | None = None
) -> list[tuple[str, list[dict[str, str] | None]]]:
    """Returns the metrics `rows` at the end of every phase: (phase, value and interval of each).

    Those of a phase with replicates are means. What cannot be read has an unknown interval; the
    comparison of the variants tells why.
    """
    phases = by_phase(results)
    reader = Reader(read or ScoreReader().of, [])
    table = []
    for phase in phases.spec.variants:
        arms = [find_arm(phases, phase, row) for row in rows]
        if any(arms):
            table.append((phase, [_end_view(arm, reader) if arm else None for arm in arms]))
    return table


def _end_view(arm: Arm, reader: Reader) -> dict[str, str]:
    cell = arm_cell(arm, reader)
    return {
        "value": value_text(arm.row, cell.metric.value),
        "interval": interval_text(arm.row, cell.interval),
    }
