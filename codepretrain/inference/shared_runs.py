"""Arms whose replicates share runs, such as cooldowns of one trunk, and what that costs a contrast.

    init ─┬─ continued ─┬─ a        weights ¼, ¼, ¼, ¼ of a, b, c, d, and -¼ of four others
          │             └─ b
          └─ continued ─┬─ c        Σ weights² = ¼;  at the trunks (½)² + (½)² = ½;  at init 1
                        └─ d

Replicate k of these arms is one observation: the weighted sum of its runs. If runs of one recipe
have a variance of σ², the sum has σ² times a factor that depends on where the variance arises. What
arises in a run is shared by all arms below it, and adds (Σ of their weights)².
"""

import itertools
from collections.abc import Sequence

Ancestors = Sequence[frozenset[str]]  # all runs of each replicate of an arm, the last one too


def groups_of(arms: Sequence[Ancestors]) -> list[int]:
    """Returns the group of each arm: arms are in one if some of their replicates share a run.

    A run that all replicates of all arms share is no part of the comparison.
    """
    everyone = frozenset.intersection(*(of for arm in arms for of in arm))
    owned = [frozenset().union(*arm) - everyone for arm in arms]
    groups = list(range(len(arms)))
    for first, second in itertools.combinations(range(len(arms)), 2):
        if owned[first] & owned[second]:
            old, new = groups[second], groups[first]
            groups = [new if group == old else group for group in groups]
    return groups


def largest_factor(weights: Sequence[float], paths: Sequence[frozenset[str]]) -> float:
    """Returns the largest factor of σ² that a weighted sum over arms can have.

    For arms that branch from one run it is the larger of (Σ weights)² and what they have together
    without it; for one arm it is its weight².

    Args:
      weights: of the arms.
      paths: the runs of each arm in one replicate. Arms without a common run are independent.
    """
    if len(weights) == 1:
        return weights[0] ** 2
    groups = groups_of([[path] for path in paths])
    numbers = sorted(set(groups))
    common = frozenset.intersection(*paths)
    if len(numbers) == 1:  # no tree: some share a run, and there is none that all share
        return max(sum(weight**2 for weight in weights), sum(weights) ** 2)
    apart = 0.0
    for number in numbers:
        members = [place for place, group in enumerate(groups) if group == number]
        apart += largest_factor([weights[i] for i in members], [paths[i] - common for i in members])
    return max(apart, sum(weights) ** 2) if common else apart


def factor_of_correlation(weights: Sequence[float], correlation: float) -> float:
    """Returns the factor of σ² where the runs of one replicate have an equal correlation."""
    squares = sum(weight**2 for weight in weights)
    return (1 - correlation) * squares + correlation * sum(weights) ** 2
