"""Which variants could be the best one on a metric: the probability of each, over runs and items.

Only variants with replicates take part. Variants whose replicates share runs, such as cooldowns of
one trunk, are drawn together over the replicates that all of them have; others are independent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from codepretrain.inference.best import probability_of_best
from codepretrain.inference.linearized import linearize
from codepretrain.inference.scores import aligned
from codepretrain.inference.shared_runs import groups_of
from codepretrain.report.arms import (
    Arm,
    ScoresReader,
    check_same_evaluation,
    find_arm,
    replicates_of,
    share_a_run,
    with_common_replicates,
)
from codepretrain.report.averaged import Averaged
from codepretrain.report.cells import MetricRow
from codepretrain.report.collect import StudyResults
from codepretrain.report.compare import Comparison, decided_rows
from codepretrain.report.differences import Reader, scores_of


@dataclass(frozen=True, kw_only=True)
class Best:
    """The probability of each variant of having the best true score of a metric.

    Attributes:
      probabilities: the largest first; they sum to one. Empty where they are unknown.
      missing: why they are.
    """

    row: MetricRow
    probabilities: Mapping[str, float]
    missing: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "evaluator": self.row.evaluator,
            "name": self.row.name,
            "probabilities": self.probabilities,
            "missing": self.missing,
        }


def best_variants(
    results: StudyResults, comparison: Comparison, averages: Averaged | None, reader: Reader
) -> list[Best]:
    """Returns the candidates of the study's averages, or without any of `compare.decided_rows`.

    Metrics of which fewer than two variants have replicates are left out.
    """
    if averages is not None and averages.comparison.headline_rows:
        rows = averages.comparison.headline_rows
        found = [_best(averages.results, row, averages.averages.read) for row in rows]
    else:
        rows = decided_rows(results, comparison)
        found = [_best(results, row, reader.of) for row in rows]
    return [one for one in found if one is not None]


def _best(results: StudyResults, row: MetricRow, read: ScoresReader) -> Best | None:
    arms: list[Arm] = []
    for variant in results.spec.variants:
        arm = find_arm(results, variant, row)
        if arm is not None and not any(share_a_run(arm, other) for other in arms):
            arms.append(arm)
    arms = [arm for arm in arms if len(arm.runs) > 1]
    if len(arms) > 1:
        labels = replicates_of(arms)
        arms = [arm for arm, of in zip(arms, labels, strict=True) if len(set(of)) > 1]
    if len(arms) < 2:
        return None
    try:
        groups = groups_of([arm.ancestors for arm in arms])
        arms = with_common_replicates(arms, groups)
        check_same_evaluation(arms)
        scores = scores_of(arms, read)
        if scores is None:
            return Best(row=row, probabilities={}, missing="the item scores of a run are missing")
        found = probability_of_best(
            linearize(aligned(scores, [arm.variant for arm in arms])),
            groups=groups,
            is_higher_better=row.direction == "higher",
        )
    except ValueError as error:
        return Best(row=row, probabilities={}, missing=str(error))
    pairs = zip([arm.variant for arm in arms], map(float, found), strict=True)
    return Best(row=row, probabilities=dict(sorted(pairs, key=lambda pair: -pair[1])))
