"""Corrections of p-values for several hypotheses."""

from collections.abc import Hashable, Mapping
from typing import Literal, TypeVar

import numpy as np

Key = TypeVar("Key", bound=Hashable)
Method = Literal["holm", "benjamini-hochberg"]

_STATSMODELS: dict[Method, str] = {"holm": "holm", "benjamini-hochberg": "fdr_bh"}


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
    for key, p in p_values.items():
        if not 0 <= p <= 1:
            raise ValueError(f"p-value of {key}: expected a number from 0 to 1, found {p}")
    if not p_values:
        return {}
    # Imports pandas and, if it is there, pyarrow: not for every process that can write a report.
    from statsmodels.stats.multitest import multipletests

    _, found, _, _ = multipletests(np.array(list(p_values.values())), method=_STATSMODELS[method])
    return dict(zip(p_values, map(float, found), strict=True))
