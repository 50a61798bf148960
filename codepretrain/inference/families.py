"""Corrections of p-values for several hypotheses."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Literal, TypeVar

import numpy as np

Key = TypeVar("Key", bound=Hashable)
Method = Literal["holm", "benjamini-hochberg"]


def adjusted(p_values: Mapping[Key, float], *, method: Method) -> dict[Key, float]:
    """Returns hypothesis → its adjusted p-value.

    "holm" controls the probability of any false finding, whatever the dependence: for contrasts
    that were registered × categories. "benjamini-hochberg" controls the share of false findings,
    for independent or positively dependent tests: for single tasks.

    Source: Holm 1979, Scandinavian Journal of Statistics 6, 65–70; Benjamini & Hochberg 1995,
    Journal of the Royal Statistical Society B 57, 289–300.

    Raises:
      ValueError: a p-value is not within 0 and 1.
    """
    _check(p_values)
    if not p_values:
        return {}
    values = list(p_values.values())
    correct = holm if method == "holm" else _benjamini_hochberg
    return dict(zip(p_values, correct(values), strict=True))


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns p-values adjusted to control the family-wise error rate.

    statsmodels' `multipletests` collects garbage in every call: a second in a process of some GB.
    Source: Holm 1979, Scandinavian Journal of Statistics 6, 65–70.
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected


def _benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    # Imports pandas and, if it is there, pyarrow: not for every process that can write a report.
    from statsmodels.stats.multitest import fdrcorrection

    _, found = fdrcorrection(np.array(p_values))
    return [float(p) for p in found]


def _check(p_values: Mapping[Key, float]) -> None:
    for key, p in p_values.items():
        if not 0 <= p <= 1:
            raise ValueError(f"p-value of {key}: expected a number from 0 to 1, found {p}")


def adjusted_with_equivalence(
    differences: Mapping[Key, float | None], equivalences: Mapping[Key, float | None]
) -> tuple[dict[Key, float | None], dict[Key, float | None]]:
    """Returns both kinds of p-values for one statement over a family of contrasts.

    With the adjusted values, the probability of any false finding of either kind is controlled: of
    a difference where there is none, or of equivalence where the true contrast is at or beyond the
    margin. Holm's method for each kind by itself would allow twice that.

    The two hypotheses of a contrast, that it is 0 and that it is at least the margin, cannot both
    be true. So k contrasts have at most k true hypotheses, and each is tested at α/k. That is
    Holm's method where a contrast has one hypothesis; a contrast with both leaves the count, as in
    Holm's steps, once both are rejected.

    Source: Shaffer 1986, Journal of the American Statistical Association 81, 826–831, as the closed
    test of Bonferroni's: the adjusted p of a hypothesis is the largest s·min(p) over s contrasts
    that may be true at once.

    Args:
      differences: contrast → p-value of the difference, None where it is not tested.
      equivalences: the same contrasts → p-value of equivalence, None where it is not tested.

    Raises:
      ValueError: a p-value is not within 0 and 1.
    """
    for of in (differences, equivalences):
        _check({key: p for key, p in of.items() if p is not None})
    largest = {
        key: max(p for p in (differences[key], equivalences[key], 0.0) if p is not None)
        for key in differences
    }

    def adjust(key: Key, p: float | None) -> float | None:
        if p is None:
            return None
        others = sorted((of for name, of in largest.items() if name != key), reverse=True)
        steps = [(size, min(p, *others[: size - 1])) for size in range(2, len(others) + 2)]
        return min(max([p, *(size * least for size, least in steps)]), 1.0)

    return (
        {key: adjust(key, p) for key, p in differences.items()},
        {key: adjust(key, p) for key, p in equivalences.items()},
    )
