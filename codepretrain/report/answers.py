"""What a score is judged against: trivial baselines, and how a model's answers are distributed.

An evaluator reports its baselines as metrics `baseline/<policy>` and its histogram as
`predicted/<answer>`, or `reason/<how a program ended>`; with several tasks, these are below the
task: `piqa/baseline/majority`.
"""

from dataclasses import dataclass

from codepretrain.report.cells import Cell, MetricRow
from codepretrain.report.compare import Comparison
from codepretrain.report.wording import label, value_text

_BASELINE = "baseline/"
_ANSWERS = ("predicted/", "reason/")


@dataclass(frozen=True)
class Histogram:
    """The shares of the answers of one task.

    shares: variant → (answer, share as a number, as text); without variants that were not measured.
    """

    label: str
    shares: dict[str, list[tuple[str, float, str]]]


def is_baseline_or_answer(row: MetricRow) -> bool:
    """Returns whether a metric is shown with the scores, instead of in a row of its own."""
    return not row.is_score and bool(_kind(row)[1])


def baseline_notes(comparison: Comparison, row: MetricRow) -> list[str]:
    """Returns what chance and trivial policies reach on the items of a score: "chance 25.0%"."""
    cells = [cell for (other, _), cell in comparison.cells.items() if other == row]
    chance = [cell.metric.null_value for cell in cells if cell.metric.null_value is not None]
    name = "chance" if row.is_percentage else "uniform guess"
    notes = [f"{name} {value_text(row, chance[0])}"] if chance else []
    task, _, name = row.name.rpartition("/")
    if not row.is_primary and not (task and name == "accuracy"):
        return notes  # a secondary measure, not the score of one task of several
    for other in comparison.rows:
        if other.evaluator == row.evaluator and _kind(other)[:2] == (task, _BASELINE):
            values = [c.metric.value for (r, _), c in comparison.cells.items() if r == other]
            if values:
                policy = _kind(other)[2].replace("_", " ")
                notes.append(f"{policy} {value_text(other, values[0])}")
    return notes


def histograms(comparison: Comparison) -> list[Histogram]:
    """Returns the histogram of answers of every task that has one."""
    tasks: dict[tuple[str, str], list[MetricRow]] = {}
    for row in comparison.rows:
        task, kind, _ = _kind(row)
        if kind in _ANSWERS and not row.is_score:
            tasks.setdefault((row.evaluator, task), []).append(row)
    return [
        Histogram(
            _title(comparison, evaluator, task),
            {
                variant: [
                    _share(row, cell)
                    for row in rows
                    if (cell := comparison.cells.get((row, variant))) is not None
                ]
                for variant in comparison.variants
                if (rows[0], variant) in comparison.cells
            },
        )
        for (evaluator, task), rows in tasks.items()
    ]


def _share(row: MetricRow, cell: Cell) -> tuple[str, float, str]:
    answer, value = _kind(row)[2].replace("_", " "), cell.metric.value
    return answer, value, value_text(row, value)


def _title(comparison: Comparison, evaluator: str, task: str) -> str:
    """Returns the name of the task's primary metric, or of the evaluator and task."""
    for row in comparison.headline_rows:
        if row.evaluator == evaluator and row.name.rpartition("/")[0] == task:
            return label(row, comparison.rows)
    return f"{evaluator} {task}".strip().replace("_", " ")


def _kind(row: MetricRow) -> tuple[str, str, str]:
    """Returns (task, "baseline/" or a name of `_ANSWERS`, policy or answer); else "" thrice."""
    for kind in (_BASELINE, *_ANSWERS):
        task, found, rest = f"/{row.name}".partition(f"/{kind}")
        if found:
            return task.lstrip("/"), kind, rest
    return "", "", ""
