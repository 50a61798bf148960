"""Win rates over prompts, and how much a judge's verdicts depend on the order.

A prompt is judged in two orders; both verdicts are about the same two completions, so a prompt is
one cluster. The intervals here are 95% intervals over prompts: how much a rate of these checkpoints
would vary with other prompts. They include neither the variation between training runs with other
seeds, which `win_rate_recipes.py` has, nor what another judge would say.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from codepretrain.evals.judge.match import Judgment
from codepretrain.inference.interval import Interval, student_interval
from codepretrain.report.statistics import wilson_interval

OUTCOMES = ("win", "tie", "loss", "unreadable")
_SIGN = {"win": 1.0, "loss": -1.0}


@dataclass(frozen=True)
class Rate:
    """A share of judgments, or a difference of two shares."""

    value: float
    interval: Interval


@dataclass(frozen=True, kw_only=True)
class WinRate:
    """Shares of all judgments of the prompts that were judged in both orders; they sum to one.

    Attributes:
      num_prompts: judged in both orders, identical completions included.
      num_missing: prompts that the judge was not reached for; they are not part of the shares.
      num_identical: prompts whose completions are the same text: ties without a verdict.
      unreadable: answers without a verdict. They count as neither a win nor a loss.
      difference: win minus loss. p_value: two-sided, for the hypothesis that it is zero.
    """

    num_prompts: int
    num_missing: int
    num_identical: int
    win: Rate
    tie: Rate
    loss: Rate
    unreadable: Rate
    difference: Rate
    p_value: float


@dataclass(frozen=True, kw_only=True)
class OrderEffect:
    """The verdicts on the same completions in both orders.

    Attributes:
      num_prompts: with a readable verdict in both orders.
      agreement: share of prompts with the same verdict in both. 1 - agreement changed with the
        order.
      kappa: the agreement beyond what the shares of wins, ties and losses in each order would give
        by chance (Cohen 1960); NaN if chance alone gives full agreement.
      first: how much more often the completion that is shown first is preferred: share of verdicts
        for the first minus share for the second. It cancels in a win rate over both orders.
    """

    num_prompts: int
    agreement: Rate
    kappa: float
    first: Rate


def win_rate(judgments: Sequence[Judgment]) -> WinRate:
    """Returns the win rate of the variant. NaN, with the widest intervals, if nothing is judged."""
    judged = [judgment for judgment in judgments if judgment.is_complete]
    shares = {
        name: share([sum(o == name for o in j.outcomes) / 2 for j in judged]) for name in OUTCOMES
    }
    difference, p_value = mean_of_signs([signs(j).mean() for j in judged])
    return WinRate(
        num_prompts=len(judged),
        num_missing=len(judgments) - len(judged),
        num_identical=sum(not judgment.is_asked for judgment in judged),
        **shares,
        difference=difference,
        p_value=p_value,
    )


def order_effect(judgments: Sequence[Judgment]) -> OrderEffect:
    """Returns how the verdicts depend on the order; identical completions are left out.

    Judgments of one prompt, of several pairs of runs, are averaged.
    """
    asked: dict[str, list[Judgment]] = {}
    for j in judgments:
        if j.is_asked and j.is_complete and "unreadable" not in j.outcomes:
            asked.setdefault(j.id, []).append(j)
    is_same = [[j.outcomes[0] == j.outcomes[1] for j in of] for of in asked.values()]
    firsts = [[float(signs(j) @ [0.5, -0.5]) for j in of] for of in asked.values()]
    first, _ = mean_of_signs([float(np.mean(of)) for of in firsts])
    return OrderEffect(
        num_prompts=len(asked),
        agreement=share([float(np.mean(of)) for of in is_same]),
        kappa=kappa(np.array([j.outcomes for of in asked.values() for j in of])),
        first=first,
    )


def mean_of_signs(values: Sequence[float]) -> tuple[Rate, float]:
    """Returns the mean of values in [-1, 1], one per prompt, and the p-value of zero.

    Half an item is added to each of +1, -1, 0 and 0, as for the difference of matched pairs, so the
    interval has a width even if all prompts agree. It is Student's: with the normal quantile, the
    prompts of equal models would agree by chance in far more than 5% of small samples.
    Source: Agresti & Min 2005, Statistics in Medicine 24, 729–740, "Wald+2", which is normal.
    """
    if len(values) < 2:
        return Rate(float(values[0]) if len(values) else math.nan, Interval(-1.0, 1.0)), 1.0
    x = np.asarray(values, np.float64)
    total = len(x) + 2
    center = float(x.sum()) / total
    variance = (float(np.square(x).sum()) + 1) / total - center * center
    error = math.sqrt(variance / total)
    interval, p_value = student_interval(center, error, len(x) - 1)
    low, high = max(interval.low, -1.0), min(interval.high, 1.0)
    return Rate(float(x.mean()), Interval(low, high)), p_value


def share(values: Sequence[float] | np.ndarray) -> Rate:
    """Returns the mean of shares in [0, 1], one per prompt, with its score interval.

    The interval is that of a proportion of n* independent judgments, where n* gives the standard
    error that the prompts have: between the number of prompts (both orders always agree) and twice
    that (they are independent).
    """
    x = np.asarray(values, np.float64)
    count = len(x)
    if not count:
        return Rate(math.nan, Interval(0.0, 1.0))
    value = float(x.mean())
    variance = float(x.var(ddof=1)) / count if count > 1 else 0.0
    effective = count
    if 0 < value < 1 and variance > 0:
        effective = int(min(max(value * (1 - value) / variance, count), 2 * count))
    return Rate(value, wilson_interval(value, effective))


def signs(judgment: Judgment) -> np.ndarray:
    """Returns +1 for a win and -1 for a loss, in both orders."""
    return np.array([_SIGN.get(outcome or "", 0.0) for outcome in judgment.outcomes])


def kappa(verdicts: np.ndarray) -> float:
    """Returns Cohen's kappa of pairs of verdicts [N, 2]; NaN if chance gives full agreement."""
    if not len(verdicts):
        return math.nan
    shares = np.stack([(verdicts == name).mean(axis=0) for name in np.unique(verdicts)])
    chance = float(shares[:, 0] @ shares[:, 1])
    observed = float((verdicts[:, 0] == verdicts[:, 1]).mean())
    return (observed - chance) / (1 - chance) if chance < 1 else math.nan
