"""What a contrast is expected to vary by, before it is measured: assumptions with their sources."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from codepretrain.config.averages import all_shares
from codepretrain.config.schema import ContrastConfig, StudyConfig
from codepretrain.evals.averaged_scores import full_scores
from codepretrain.evals.estimate import satterthwaite
from codepretrain.inference.power import item_error
from codepretrain.study.item_counts import ItemCount

_NO_LIMIT = 1e9  # degrees of freedom
Counts = Callable[[str], ItemCount | None]  # of the items of a score


@dataclass(frozen=True)
class Known:
    """A number, where it is from, and whether it is assumed for this study."""

    value: float
    source: str
    is_assumed: bool


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The standard deviations behind the difference of two arms, in the unit of the metric.

    Attributes:
      run: between replicates of one arm; None where nothing is known.
      item: the error of the difference that no replicate lowers; None where nothing is known.
      item_freedom: its degrees of freedom, about the number of items less one.
      rest_sd: of one run's score from run × item; 0 where it is counted as `item`.
      num_items: behind `item`.
    """

    run: Known | None
    item: Known | None
    item_freedom: float
    rest_sd: float
    num_items: int


# Standard deviation of a score between runs of one recipe, by unit.
_RUNS: Mapping[str, tuple[float, str]] = {
    "fraction": (0.0063, "as in reruns of an OLMo-ladder recipe"),
    "bits/byte": (
        0.041,
        "the larger of two arms' in marin-community/marin 2345, 0.0016 and 0.0409",
    ),
    "nats/token": (0.05, "reruns of experiments/demo.py on CPUs"),
}


def assumed_spread(
    config: StudyConfig,
    contrast: ContrastConfig,
    *,
    unit: str,
    counts: Counts,
    run_sd: float | None = None,
) -> Spread:
    """Returns the assumed spread of the metric of a contrast.

    Args:
      contrast: from `full_contrasts`.
      run_sd: given by the user; None for the assumption.
    """
    of_averages = all_shares(full_scores(config))
    scores = of_averages.get(contrast.metric, {contrast.metric: 1.0})
    parts = [(share, counts(score)) for score, share in scores.items()]
    found = [(share, count) for share, count in parts if count is not None]
    run = Known(run_sd, "--run-sd", True) if run_sd is not None else None
    if run is None and unit in _RUNS:
        run = Known(*_RUNS[unit], True)
    item, freedom = None, _NO_LIMIT
    if unit == "fraction" and len(found) == len(parts):
        deviation, source = _deviation_of_answers(contrast.published_score)
        numbers = [of.count for _, of in found]
        deviations = [deviation * share * len(found) for share, _ in found]
        error = item_error(deviations, numbers)
        variances = [share**2 / of.count for share, of in found]
        freedom = satterthwaite(variances, [max(count - 1, 1) for count in numbers])
        sources = ", ".join(dict.fromkeys(of.source for _, of in found))
        item = Known(error, f"{source}; number of items: {sources}", True)
    return Spread(
        run=run,
        item=item,
        item_freedom=freedom,
        rest_sd=0.0,
        num_items=sum(of.count for _, of in found),
    )


def _deviation_of_answers(score: float | None) -> tuple[float, str]:
    """Returns the standard deviation over items of the difference between two arms.

    Answers that are right with probability p and have a correlation of 0.5 between the arms differ
    with a variance of 2·p(1 - p)·(1 - 0.5).
    """
    p, origin = 0.5, "the worst case"
    if score is not None and 0 < score < 1:
        p, origin = score, "published"
    text = f"{p:.1%} of answers right, {origin}; correlated 0.5 between arms"
    return math.sqrt(p * (1 - p)), text


def filled(measured: Spread | None, assumed: Spread) -> Spread:
    """Returns what was measured, and what is assumed of the rest."""
    if measured is None:
        return assumed
    run = measured.run or assumed.run
    if measured.item is None:
        return dataclasses.replace(assumed, run=run)
    return dataclasses.replace(measured, run=run)
