"""The mixture that each point of a ladder would choose, and what became of that choice.

A law over the shares of the sources is fit to the losses of all mixtures of a point
(`inference/ladder/mixture_law.py`), each loss with equal weight. It is held to leave-one-out over
mixtures, and to the target: where the mixture that it ranks first among those of the target is.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from codepretrain.evals.progress import Progress, no_progress
from codepretrain.inference.ladder.mixture_choice import (
    MixtureChoice,
    choose_mixture,
    is_within,
    predict_gain,
)
from codepretrain.inference.ladder.mixture_law import (
    fit_mixture_law,
    leave_one_out_domains,
    rank_correlations,
)
from codepretrain.inference.ladder.resampling import Prediction
from codepretrain.report.cells import MetricRow
from codepretrain.report.ladder_arms import Ladder, LadderArm, Point, is_loss
from codepretrain.report.mixtures import Mixture

_DRAWS = 100  # of the bootstrap


@dataclass(frozen=True, kw_only=True)
class TargetRank:
    """How the mixture that a law ranks first among those of the target fares there.

    Attributes:
      rank: 1 for the best of `num_mixtures` at the target.
      regret: its mean loss minus that of the best.
    """

    mixture: Mixture
    variant: str
    rank: int
    num_mixtures: int
    regret: float


@dataclass(frozen=True, kw_only=True)
class PointChoice:
    """The choice of one size and length.

    Attributes:
      rows: the losses, whose mean is minimized.
      correlations: Spearman's, of each loss as predicted without its mixture, over mixtures.
      choice: None if `missing` says why.
      gain: how much lower the mean loss of the choice is predicted than that of the natural
        mixture.
      is_within: whether the choice lies between mixtures that were trained.
    """

    point: Point
    rows: tuple[MetricRow, ...]
    sources: tuple[str, ...]
    num_mixtures: int
    correlations: tuple[float, ...]
    choice: MixtureChoice | None = None
    gain: Prediction | None = None
    is_within: bool = False
    at_target: TargetRank | None = None
    missing: str = ""


def choices(ladder: Ladder, progress: Progress = no_progress) -> Iterator[PointChoice]:
    """Yields the choice of every point whose mixtures determine a law."""
    for place, point in enumerate(ladder.points, start=1):
        found = _choice(ladder, point)
        progress(place, len(ladder.points), "choices of a mixture")
        if found is not None:
            yield found


def _choice(ladder: Ladder, point: Point) -> PointChoice | None:
    arms = list(ladder.at(point).values())
    sources = tuple(sorted({source for arm in arms for source, _ in arm.mixture}))
    rows = tuple(
        row
        for row in ladder.rows
        if is_loss(row) and row.name.startswith("source/") and all(arm.values(row) for arm in arms)
    )
    # One more than the law needs, so that each can be left out.
    if len(arms) < len(sources) + 2 or len(sources) < 2 or not rows:
        return None
    missing = PointChoice(
        point=point, rows=rows, sources=sources, num_mixtures=len(arms), correlations=()
    )
    try:
        mixtures, losses, groups = _runs(arms, sources, rows)
        law = fit_mixture_law(mixtures, losses)
        left_out = leave_one_out_domains(fit_mixture_law, mixtures, losses, groups=groups)
    except ValueError as error:
        return replace(missing, missing=str(error))
    places = [groups.index(group) for group in dict.fromkeys(groups)]
    means = np.array([losses[[g == groups[p] for g in groups]].mean(axis=0) for p in places])
    found = replace(
        missing,
        correlations=tuple(rank_correlations(left_out[places], means).tolist()),
        at_target=_at_target(ladder, sources, rows, lambda m: float(law.losses(m[None]).mean())),
    )
    weights = np.full(len(rows), 1 / len(rows))
    unique = np.array([ladder.unique_tokens.get(source, 0) for source in sources], float)
    try:
        choice = choose_mixture(law, weights, unique, ladder.target[1])
        of_both = choice.mixture, choice.natural
        gain = predict_gain(mixtures, losses, weights, *of_both, groups=groups, num_draws=_DRAWS)
    except ValueError as error:
        return replace(found, missing=str(error))
    within = is_within(mixtures, choice.mixture)
    return replace(found, choice=choice, gain=gain, is_within=within)


def _runs(
    arms: Sequence[LadderArm], sources: Sequence[str], rows: Sequence[MetricRow]
) -> tuple[np.ndarray, np.ndarray, list[Mixture]]:
    """Returns the mixtures [R, J], the losses [R, O] and the mixture of every run.

    Raises:
      ValueError: not all losses of a run were measured.
    """
    mixtures, losses, groups = [], [], []
    for arm in arms:
        columns = [arm.values(row) for row in rows]
        if len(set(map(len, columns))) > 1:
            raise ValueError(f"a replicate of {arm.variant} lacks a loss that others have")
        for values in np.array(columns).T:
            mixtures.append(shares(arm.mixture, sources))
            losses.append(values)
            groups.append(arm.mixture)
    return np.array(mixtures), np.array(losses), groups


def shares(mixture: Mixture, sources: Sequence[str]) -> np.ndarray:
    """Returns the shares of some sources, [J]."""
    of = dict(mixture)
    return np.array([of.get(source, 0.0) for source in sources])


def _at_target(
    ladder: Ladder,
    sources: Sequence[str],
    rows: Sequence[MetricRow],
    predicted: Callable[[np.ndarray], float],
) -> TargetRank | None:
    arms: Mapping[Mixture, LadderArm] = ladder.at(ladder.target)
    actual = {
        mixture: float(np.mean([np.mean(arm.values(row)) for row in rows]))
        for mixture, arm in arms.items()
        if {source for source, _ in mixture} <= set(sources)
        and all(arm.values(row) for row in rows)
    }
    if len(actual) < 2:
        return None
    first = min(actual, key=lambda mixture: predicted(shares(mixture, sources)))
    ordered = sorted(actual.values())
    return TargetRank(
        mixture=first,
        variant=arms[first].variant,
        rank=1 + ordered.index(actual[first]),
        num_mixtures=len(actual),
        regret=actual[first] - ordered[0],
    )
