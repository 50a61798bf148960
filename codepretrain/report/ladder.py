"""What the small models of several studies say about the largest, beside what it did."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from codepretrain.evals.progress import Progress, no_progress
from codepretrain.inference.ladder.ranking import DecisionAccuracy
from codepretrain.report.content import Content
from codepretrain.report.ladder_arms import Ladder, Point, find_ladder
from codepretrain.report.ladder_mixtures import PointChoice, choices
from codepretrain.report.ladder_predictions import (
    LadderPrediction,
    num_predictions,
    predictions,
)
from codepretrain.report.ladder_ranking import Ranking, rankings


@dataclass(frozen=True, kw_only=True)
class LadderResults:
    ladder: Ladder
    predictions: tuple[LadderPrediction, ...]
    rankings: tuple[Ranking, ...]
    choices: tuple[PointChoice, ...]
    problems: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "target": _point_json(self.ladder.target),
            "arms": [
                {
                    "study": arm.study,
                    "variant": arm.variant,
                    **_point_json(arm.point),
                    "mixture": dict(arm.mixture),
                    "values": {
                        f"{row.evaluator}/{row.name}": cell.values
                        for row, cell in arm.cells.items()
                        if row in self.ladder.rows
                    },
                    "runs": sorted({run for cell in arm.cells.values() for run in cell.runs}),
                }
                for arm in self.ladder.arms
            ],
            "predictions": [_prediction_json(one) for one in self.predictions],
            "rankings": [
                {
                    "metric": f"{one.row.evaluator}/{one.row.name}",
                    **(_point_json(one.point) if one.point else {"predicted": True}),
                    "num_mixtures": one.num_mixtures,
                    "all_pairs": _accuracy_json(one.of_all),
                    "distinguishable_pairs": _accuracy_json(one.of_distinguishable),
                }
                for one in self.rankings
            ],
            "choices": [_choice_json(one) for one in self.choices],
            "notes": [*self.ladder.notes, *self.problems],
        }


def climb(contents: Sequence[Content], progress: Progress = no_progress) -> LadderResults | None:
    """Returns the predictions of the ladder that several studies are, None if they are none.

    Args:
      progress: is told of each prediction and choice, of which one takes up to seconds.
    """
    ladder = find_ladder(contents)
    if ladder is None:
        return None
    problems: list[str] = []
    found: list[LadderPrediction] = []
    num_expected = num_predictions(ladder)
    for one in predictions(ladder):
        found.append(one)
        progress(len(found), num_expected, "predictions")
    return LadderResults(
        ladder=ladder,
        predictions=tuple(found),
        rankings=tuple(rankings(ladder, found, problems)),
        choices=tuple(choices(ladder, progress)),
        problems=tuple(dict.fromkeys(problems)),
    )


def _point_json(point: Point) -> dict[str, int]:
    return {"num_parameters_non_embedding": point[0], "tokens": point[1]}


def _prediction_json(one: LadderPrediction) -> dict[str, Any]:
    return {
        "metric": f"{one.row.evaluator}/{one.row.name}",
        "mixture": dict(one.mixture),
        "variant": one.variant,
        "from_loss": f"{one.loss.evaluator}/{one.loss.name}" if one.loss else None,
        "num_runs": one.num_runs,
        "predicted": one.predicted,
        "interval": one.interval,
        "actual": one.actual,
        "actual_interval": one.actual_interval,
        "left_out": one.left_out,
        "left_out_error": one.left_out_error,
        "missing": one.missing,
    }


def _accuracy_json(one: DecisionAccuracy) -> dict[str, Any]:
    return {"share": one.share, "interval": one.interval, "num_pairs": one.num_pairs}


def _choice_json(one: PointChoice) -> dict[str, Any]:
    choice = one.choice
    rank = one.at_target

    def named(shares: Sequence[float]) -> dict[str, float]:
        return dict(zip(one.sources, map(float, shares), strict=True))

    return {
        **_point_json(one.point),
        "losses": [f"{row.evaluator}/{row.name}" for row in one.rows],
        "num_mixtures": one.num_mixtures,
        "rank_correlations": one.correlations,
        "mixture": named(choice.mixture.tolist()) if choice else None,
        "predicted": choice.target if choice else None,
        "natural": named(choice.natural.tolist()) if choice else None,
        "natural_predicted": choice.natural_target if choice else None,
        "uniform": named(choice.uniform.tolist()) if choice else None,
        "uniform_predicted": choice.uniform_target if choice else None,
        "gain": one.gain,
        "is_within_tried": one.is_within,
        "at_target": {
            "mixture": dict(rank.mixture),
            "variant": rank.variant,
            "rank": rank.rank,
            "num_mixtures": rank.num_mixtures,
            "regret": rank.regret,
        }
        if rank
        else None,
        "missing": one.missing,
    }
