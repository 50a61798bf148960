"""The ladder as text: predictions, decision accuracy, and the mixtures chosen."""

from dataclasses import dataclass, replace

import numpy as np

from codepretrain.inference.ladder.ranking import DecisionAccuracy
from codepretrain.report.cells import MetricRow
from codepretrain.report.ladder import LadderResults
from codepretrain.report.ladder_arms import Point
from codepretrain.report.ladder_mixtures import PointChoice
from codepretrain.report.ladder_predictions import LadderPrediction
from codepretrain.report.mixtures import mixture_text
from codepretrain.report.wording import (
    NOT_THERE,
    interval_text,
    label,
    number,
    scale_of,
    short_label,
    signed,
    tokens_text,
    value_text,
)


@dataclass(frozen=True, kw_only=True)
class PredictionRow:
    """One metric of one mixture; `predicted`, its interval and errors are "" if `missing`."""

    mixture: str
    variant: str
    num_runs: str
    actual: str
    actual_interval: str
    predicted: str = ""
    interval: str = ""
    error: str = ""
    left_out: str = ""
    missing: str = ""


@dataclass(frozen=True, kw_only=True)
class PredictionTable:
    """The predictions of a metric. loss: "over all sources", "" for a loss itself."""

    metric: str
    unit: str
    loss: str
    rows: tuple[PredictionRow, ...]


@dataclass(frozen=True, kw_only=True)
class ShareText:
    """A share of pairs; interval: "" without pairs."""

    share: str
    interval: str
    pairs: str


@dataclass(frozen=True, kw_only=True)
class RankingRow:
    """A point, or the laws' predictions: for each metric all pairs and the distinguishable ones."""

    point: str
    cells: tuple[tuple[ShareText, ShareText] | None, ...]


@dataclass(frozen=True, kw_only=True)
class ChoiceRow:
    """The choice of a point; what follows `at_target` is "" if `missing`."""

    point: str
    num_mixtures: str
    correlations: tuple[tuple[str, str], ...]
    at_target: str
    mixture: str = ""
    predicted: str = ""
    natural: str = ""
    uniform: str = ""
    gain: str = ""
    is_within: bool = False
    missing: str = ""


def point_text(point: Point | None) -> str:
    """Returns "205M parameters, 20B tokens"; of the laws, "predicted from all"."""
    if point is None:
        return "predicted from all"
    return f"{tokens_text(point[0])} parameters, {tokens_text(point[1])} tokens"


def metric_text(found: LadderResults, row: MetricRow) -> str:
    """Returns a metric's name among those of the ladder."""
    return short_label(row, found.ladder.rows)


def prediction_tables(found: LadderResults) -> list[PredictionTable]:
    """Returns a table per metric, with a row per mixture of the target."""
    tables = []
    for row in dict.fromkeys(one.row for one in found.predictions):
        of = [one for one in found.predictions if one.row == row]
        loss = of[0].loss
        tables.append(
            PredictionTable(
                metric=metric_text(found, row),
                unit="%" if row.is_percentage else row.unit,
                loss=f"over {metric_text(found, loss)}" if loss else "",
                rows=tuple(map(_prediction, of)),
            )
        )
    return tables


def _prediction(one: LadderPrediction) -> PredictionRow:
    row = one.row
    scale, digits = scale_of(row)
    known = PredictionRow(
        mixture=mixture_text(one.mixture),
        variant=one.variant,
        num_runs=str(one.num_runs),
        actual=value_text(row, one.actual),
        actual_interval=interval_text(row, one.actual_interval),
        missing=one.missing,
    )
    if one.missing:
        return known
    return replace(
        known,
        predicted=value_text(row, one.predicted),
        interval=interval_text(row, one.interval),
        error=signed(scale * one.error, digits=digits),
        left_out=number(scale * one.left_out_error, digits=digits),
    )


def ranking_metrics(found: LadderResults) -> list[MetricRow]:
    """Returns the metrics of which mixtures are ranked."""
    return list(dict.fromkeys(one.row for one in found.rankings))


def ranking_rows(found: LadderResults) -> list[RankingRow]:
    """Returns a row per point, the laws' predictions last, with a cell for each metric."""
    metrics = ranking_metrics(found)
    of = {(one.point, one.row): one for one in found.rankings}
    points = [*found.ladder.points, None]
    rows = [(point, [of.get((point, metric)) for metric in metrics]) for point in points]
    return [
        RankingRow(
            point=point_text(point),
            cells=tuple(
                (_share(one.of_all), _share(one.of_distinguishable)) if one else None
                for one in cells
            ),
        )
        for point, cells in rows
        if any(cells)
    ]


def _share(one: DecisionAccuracy) -> ShareText:
    if not one.num_pairs:
        return ShareText(share=NOT_THERE, interval="", pairs="0 pairs")
    low, high = (number(100 * end, digits=0) for end in (one.interval.low, one.interval.high))
    return ShareText(
        share=f"{number(100 * one.share, digits=0)}%",
        interval=f"{low} – {high}",
        pairs=f"{one.num_pairs} pair{'s' if one.num_pairs > 1 else ''}",
    )


def choice_rows(found: LadderResults) -> list[ChoiceRow]:
    """Returns a row per point that determines a law of mixtures."""
    return [_choice(one) for one in found.choices]


def _choice(one: PointChoice) -> ChoiceRow:
    choice, rank, gain = one.choice, one.at_target, one.gain
    known = ChoiceRow(
        point=point_text(one.point),
        num_mixtures=str(one.num_mixtures),
        correlations=tuple(
            (label(row, one.rows), NOT_THERE if np.isnan(c) else number(c, digits=2))
            for row, c in zip(one.rows, one.correlations, strict=False)
        ),
        missing=one.missing,
        at_target=""
        if rank is None
        else f"{mixture_text(rank.mixture)} is {rank.rank} of {rank.num_mixtures}, "
        f"{signed(rank.regret)} from the best",
    )
    if choice is None or gain is None:
        return known
    mixture = tuple(zip(one.sources, choice.mixture.tolist(), strict=True))
    ends = f"{signed(gain.interval.low)} to {signed(gain.interval.high)}"
    return replace(
        known,
        mixture=mixture_text(tuple(pair for pair in mixture if pair[1] >= 0.0005)),
        predicted=number(choice.target),
        natural=number(choice.natural_target),
        uniform=number(choice.uniform_target),
        gain=f"{signed(gain.value)} ({ends})",
        is_within=one.is_within,
    )
