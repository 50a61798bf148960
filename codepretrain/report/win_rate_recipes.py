"""Judged comparisons of two variants: of two checkpoints, or of recipes over runs and prompts.

Replicate k of a variant is judged against replicate k of its reference. Such a pair of runs is one
replicate of the comparison, scored on every prompt:

    value[k, p] = mean over both orders of +1 for a win, -1 for a loss, else 0

Between equal recipes a pair of runs favors either side alike, so its expectation is 0. Runs and
prompts are crossed (`inference/crossed.py`), as in other contrasts of paired replicates. Where runs
differ so much that verdicts are nearly unanimous, the means of pairs lie close to -1 and 1, and
look alike by chance: 3 such pairs favor one side in a quarter of all comparisons of equal recipes.
So the interval is never narrower than Student's over the probits of the pairs' means, which are
normal if qualities are, and p is the larger of both (LOG.md). Pairs that share what they start from
are not independent: they are averaged. Without two independent pairs it is a comparison of
checkpoints, over prompts alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import special

from codepretrain.evals.judge.match import Judgment
from codepretrain.evals.judge.result import JudgeResult
from codepretrain.inference.crossed import contrast
from codepretrain.inference.estimate import Estimate
from codepretrain.inference.interval import Interval, student_interval
from codepretrain.inference.scores import ArmScores, averaged_over_trunks
from codepretrain.report.between import TWO_CHECKPOINTS, Between
from codepretrain.report.win_rate import (
    OUTCOMES,
    Rate,
    WinRate,
    mean_of_signs,
    share,
    signs,
    win_rate,
)

_ROUNDING = 1e-9  # a share that differs by less, relatively, is the same


@dataclass(frozen=True)
class JudgedComparison:
    """The results of one judge on the replicates of two variants, by replicate."""

    results: tuple[JudgeResult, ...]

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """Returns the independent replicate that each result is of."""
        starts = [(one.variant["start"], one.reference["start"]) for one in self.results]
        if len({start for pair in starts for start in pair}) == 1:
            return tuple(str(one.replicate) for one in self.results)  # all from one checkpoint
        groups: list[int] = []
        for place, pair in enumerate(starts):
            same = [groups[i] for i, other in enumerate(starts[:place]) if set(pair) & set(other)]
            joined = min(same, default=place)
            groups = [joined if group in same else group for group in groups] + [joined]
        return tuple(map(str, groups))

    @property
    def between(self) -> Between:
        if len(self.results) == 1:
            return TWO_CHECKPOINTS
        number = len(set(self.groups))
        starts = {side["start"] for one in self.results for side in (one.variant, one.reference)}
        if number > 1:
            return Between((number, number), is_from_one_checkpoint=len(starts) == 1)
        return Between((1, len(self.results)))

    def rate(self, category: str | None = None) -> WinRate:
        """Returns the win rate, of all prompts or of one category."""
        of_runs = [
            [j for j in one.judgments if category is None or j.category == category]
            for one in self.results
        ]
        if len(of_runs) == 1:
            return win_rate(of_runs[0])
        return replicated_win_rate(of_runs, self.groups, are_recipes=self.between.are_recipes)

    @property
    def categories(self) -> list[str]:
        """The categories of the prompts, [] if there is only one."""
        names = sorted({judgment.category for judgment in self.judgments})
        return names if len(names) > 1 else []

    @property
    def judgments(self) -> list[Judgment]:
        """The judgments of all replicates."""
        return [judgment for one in self.results for judgment in one.judgments]


def comparisons(results: Sequence[JudgeResult]) -> list[JudgedComparison]:
    """Returns the results of one judge and one evaluation by pairs of variants."""
    found: dict[tuple[str, str], list[JudgeResult]] = {}
    for one in results:
        names = one.variant["variant"], one.reference["variant"]
        found.setdefault(names, []).append(one)
    ordered = [sorted(of, key=lambda one: one.replicate) for of in found.values()]
    return [JudgedComparison(tuple(of)) for of in ordered]


def replicated_win_rate(
    of_runs: Sequence[Sequence[Judgment]], groups: Sequence[str], *, are_recipes: bool
) -> WinRate:
    """Returns the win rate over pairs of runs, on the prompts that were judged in all of them.

    Args:
      of_runs: the judgments of each pair of runs.
      groups: the independent replicate that each is of.
      are_recipes: whether the interval is over runs and prompts; over prompts otherwise.
    """
    judged = [{j.id: j for j in judgments if j.is_complete} for judgments in of_runs]
    ids = [name for name in judged[0] if all(name in of for of in judged)]
    table = [[of[name] for name in ids] for of in judged]
    num_prompts = len({j.id for judgments in of_runs for j in judgments})

    def values(score: str | None) -> np.ndarray:
        rows = [[_value(judgment, score) for judgment in row] for row in table]
        return np.asarray(rows, np.float64).reshape(len(table), len(ids))

    scores = {name: values(name) for name in OUTCOMES}
    differences = values(None)
    if are_recipes and len(ids) > 1:
        shares = {
            name: _rate(_crossed(ids, of, groups, lowest=0.0)[0], 0.0)
            for name, of in scores.items()
        }
        difference, p_value = _difference(*_crossed(ids, differences, groups, lowest=-1.0))
    else:
        shares = {name: share(of.mean(axis=0)) for name, of in scores.items()}
        difference, p_value = mean_of_signs(list(differences.mean(axis=0)))
    return WinRate(
        num_prompts=len(ids),
        num_missing=num_prompts - len(ids),
        num_identical=sum(all(not row[i].is_asked for row in table) for i in range(len(ids))),
        **shares,
        difference=difference,
        p_value=p_value,
    )


def _value(judgment: Judgment, outcome: str | None) -> float:
    """Returns the share of an outcome in both orders; the mean of the signs for None."""
    if outcome is None:
        return float(signs(judgment).mean())
    return sum(one == outcome for one in judgment.outcomes) / 2


def _crossed(
    ids: Sequence[str], values: np.ndarray, groups: Sequence[str], *, lowest: float
) -> tuple[Estimate, np.ndarray]:
    """Returns the mean of values in [lowest, 1] over runs and prompts, and that of each pair."""
    arm = ArmScores(ids=ids, clusters=ids, values=values, item_range=1.0 - lowest)
    if len(set(groups)) < len(groups):
        arm = averaged_over_trunks(arm, groups)
    return contrast([arm], [1.0]), arm.metrics


def _rate(found: Estimate, lowest: float) -> Rate:
    """Returns the estimate with its interval cut to [lowest, 1]."""
    low, high = max(found.interval.low, lowest), min(found.interval.high, 1.0)
    return Rate(found.value, Interval(low, high))


def _difference(found: Estimate, means: np.ndarray) -> tuple[Rate, float]:
    """Returns win minus loss with the wider of two intervals, and p; see the top of this file.

    Args:
      means: win minus loss of each pair of runs, [S].
    """
    rate = _rate(found, -1.0)
    of_probits, p_value = _over_probits(means, found.num_items)
    low = min(rate.interval.low, of_probits.low)
    high = max(rate.interval.high, of_probits.high)
    return Rate(found.value, Interval(low, high)), max(found.p_value, p_value)


def _over_probits(means: np.ndarray, num_prompts: int) -> tuple[Interval, float]:
    """Returns Student's interval of means in [-1, 1] on a probit scale, and the p-value of 0.

    Means are taken no nearer to an end than half a verdict, as one tie is. Of several that reach
    one end, it is unknown how much they differ, so that everything is.
    """
    least = 0.25 / num_prompts  # a prompt has two verdicts
    shares = np.maximum((1 - np.abs(means)) / 2, least)  # of the side that is not favored
    is_at_end = shares <= least * (1 + _ROUNDING)
    if max(np.sum(is_at_end & (means < 0)), np.sum(is_at_end & (means > 0))) > 1:
        return Interval(-1.0, 1.0), 1.0
    probits = -np.sign(means) * special.ndtri(shares)
    error = float(probits.std(ddof=1)) / len(means) ** 0.5
    interval, p_value = student_interval(float(probits.mean()), error, len(means) - 1)
    low, high = (float(2 * special.ndtr(end) - 1) for end in (interval.low, interval.high))
    return Interval(low, high), p_value
