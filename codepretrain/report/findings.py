"""The findings of a comparison as text: what is known of recipes, and what of checkpoints only.

No sentence calls a recipe better or worse unless both arms have replicates.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from codepretrain.report.accounts import variant_status
from codepretrain.report.between import Between
from codepretrain.report.cells import Cell, MetricRow
from codepretrain.report.collect import StudyResults
from codepretrain.report.compare import Comparison
from codepretrain.report.contrast_result import ContrastResult
from codepretrain.report.wording import (
    difference_interval_text,
    difference_text,
    difference_unit,
    label,
)

_ALL_CHECKPOINTS = (
    "Each variant was trained once, so every comparison is between two checkpoints, not between "
    "two recipes."
)
_SOME_CHECKPOINTS = (
    "Where a variant was trained once, a comparison is between checkpoints, not between recipes; "
    "each difference says which."
)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One metric's difference from the baseline.

    is_tentative: distinguishable from zero by itself, but not after Holm's correction.
    """

    label: str
    difference: str
    interval: str
    is_tentative: bool

    @property
    def text(self) -> str:
        dagger = "†" if self.is_tentative else ""
        return f"{self.label} {self.difference}{dagger} ({self.interval})"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """How one variant differs from the baseline.

    Attributes:
      favorable: metrics whose difference is in the better direction.
      unfavorable: metrics whose difference is in the worse direction.
    """

    variant: str
    between: Between
    favorable: tuple[Entry, ...]
    unfavorable: tuple[Entry, ...]
    not_distinguishable: tuple[Entry, ...]

    @property
    def signs(self) -> tuple[str, str]:
        """What the two groups of differences are called."""
        return ("better", "worse") if self.between.are_recipes else ("ahead", "behind")


def caution(comparison: Comparison) -> str:
    """Returns what may not be concluded because an arm has no replicates; "" if all have."""
    are_recipes = [
        cell.difference.between.are_recipes
        for cell in comparison.headline_differences
        if cell.difference is not None
    ]
    if all(are_recipes):
        return ""
    return _SOME_CHECKPOINTS if any(are_recipes) else _ALL_CHECKPOINTS


def interim(results: StudyResults, contrasts: Sequence[ContrastResult]) -> str:
    """Returns that what is decided of an unfinished study is not final; "" if nothing is."""
    statuses = [variant_status(results, variant) for variant in results.spec.variants]
    num_complete = statuses.count("complete")
    if num_complete == len(statuses) or all(one.decision == "not decided" for one in contrasts):
        return ""
    return (
        f"The study is not finished: {num_complete} of {len(statuses)} variants are complete. "
        "Decisions are interim: a study that ends at the first look that confirms something is "
        "wrong more often than its p-values say."
    )


def findings(comparison: Comparison) -> tuple[Finding, ...]:
    """Returns one finding per variant and what was compared, in the study's order."""
    found = []
    for variant in comparison.variants:
        cells = {row: comparison.cells.get((row, variant)) for row in comparison.headline_rows}
        compared = {
            row: cell for row, cell in cells.items() if cell and cell.difference and cell.outcome
        }
        kinds = [cell.difference.between for cell in compared.values() if cell.difference]
        for between in dict.fromkeys(kinds):
            by_outcome: dict[str, list[Entry]] = {}
            for row, cell in compared.items():
                if cell.difference and cell.outcome and cell.difference.between == between:
                    entry = _entry(comparison, row, cell)
                    by_outcome.setdefault(cell.outcome, []).append(entry)
            found.append(
                Finding(
                    variant=variant,
                    between=between,
                    favorable=tuple(by_outcome.get("favorable", ())),
                    unfavorable=tuple(by_outcome.get("unfavorable", ())),
                    not_distinguishable=tuple(by_outcome.get("not distinguishable", ())),
                )
            )
    return tuple(found)


def is_tentative(cell: Cell) -> bool:
    """Returns whether a difference is distinguishable from zero only before Holm's correction."""
    return cell.outcome in ("favorable", "unfavorable") and not cell.survives_holm


def overview(comparison: Comparison) -> str:
    """Returns how many differences there are, and how many are distinguishable from zero."""
    if comparison.baseline is None:
        return "The study names no baseline, so its variants are listed without comparison."
    cells = comparison.headline_differences
    if not cells:
        return f"Nothing can be compared with {comparison.baseline} yet."
    parts = []
    for are_recipes, baseline in (
        (True, comparison.baseline),
        (False, f"the checkpoint of {comparison.baseline}"),
    ):
        chosen = [
            c for c in cells if c.difference and c.difference.between.are_recipes is are_recipes
        ]
        if chosen:
            what = " between recipes" if are_recipes else ""
            parts.append(_count(chosen, f"differences{what} from {baseline}", len(cells)))
    return " ".join(parts)


def _count(cells: list[Cell], what: str, num_corrected: int) -> str:
    found = sum(cell.outcome != "not distinguishable" for cell in cells)
    tentative = sum(is_tentative(cell) for cell in cells)
    text = f"{found} of {len(cells)} {what} are distinguishable from zero at 95%"
    if tentative:
        kept = found - tentative
        return f"{text}, {kept or 'none'} of them also after Holm’s correction for {num_corrected}."
    return f"{text}, also after Holm’s correction." if found else f"{text}."


def _entry(comparison: Comparison, row: MetricRow, cell: Cell) -> Entry:
    assert cell.difference is not None
    return Entry(
        label=label(row, comparison.rows),
        difference=f"{difference_text(row, cell.difference)} {difference_unit(row)}",
        interval=difference_interval_text(row, cell.difference),
        is_tentative=is_tentative(cell),
    )
