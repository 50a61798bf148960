"""How the experiments register what they decide. No study of its own.

Scores are shares: 0.01 is one point. A published effect is taken from the published table where
both scores are in it. Effects that a paper states in percent of an unpublished score are left out.
"""

import dataclasses
from collections.abc import Iterable, Mapping

from codepretrain.config.schema import ContrastConfig
from codepretrain.inference.trend import dose_weights, factorial_weights
from codepretrain.report.published_tables import tables
from experiments.study.evaluations import BITS_OF_CODE, BITS_OF_TEXT

POINT = 0.01
BITS = 0.005  # ours: bits per byte, about half a percent of a loss near 1


def margin_of(metric: str) -> float:
    """Returns the smallest effect of interest where none was published (ours)."""
    return BITS if metric in (BITS_OF_TEXT, BITS_OF_CODE) else POINT


def difference(
    variants: tuple[str, str],
    metric: str,
    direction: str,
    *,
    family: str = "main",
    published: float | None = None,
    published_score: float | None = None,
    is_paired: bool = False,
    is_control: bool = False,
) -> ContrastConfig:
    """Returns the contrast of the first variant minus the second.

    The margin is half of the published effect, and not less than a tenth of a point.

    Args:
      published: the effect in points of percent.
      published_score: of the second variant, in percent.
    """
    margin = margin_of(metric) if not published else max(abs(published) / 200, POINT / 10)
    return ContrastConfig(
        variants=variants,
        metric=metric,
        direction=direction,
        margin=round(margin, 6),
        published_effect=None if published is None else round(published / 100, 6),
        published_score=None if published_score is None else published_score / 100,
        family=family,
        is_paired=is_paired,
        is_control=is_control,
    )


def from_table(
    variants: Mapping[str, str],
    pair: tuple[str, str],
    metric: str,
    direction: str,
    *,
    family: str = "main",
    is_paired: bool = False,
) -> ContrastConfig:
    """Returns the contrast of two variants whose last phases are in Table 2.

    Args:
      variants: of the study, with their last phases.
    """
    first, second = (_TABLE_2[variants[name]][metric] for name in pair)
    return difference(
        pair,
        metric,
        direction,
        family=family,
        published=round(first - second, 3),
        published_score=second,
        is_paired=is_paired,
    )


def dose_trend(
    doses: Mapping[str, float], metric: str, direction: str, *, family: str = "doses"
) -> ContrastConfig:
    """Returns the change of a score from the least to the largest dose, on a line through all."""
    shares = list(doses.values())
    weights = dose_weights(shares) * (max(shares) - min(shares))
    return _weighted(doses, weights, metric, direction, family)


def factorial(
    levels: Mapping[str, Mapping[str, bool]],
    effect: Iterable[str],
    metric: str,
    *,
    direction: str = "different",
    family: str = "factorial",
    is_control: bool = False,
) -> ContrastConfig:
    """Returns the main effect of a factor, or the interaction of several, over all variants."""
    weights = factorial_weights(list(levels.values()), list(effect))
    found = _weighted(levels, weights, metric, direction, family)
    return dataclasses.replace(found, is_control=is_control)


def _weighted(
    names: Iterable[str], weights: Iterable[float], metric: str, direction: str, family: str
) -> ContrastConfig:
    return ContrastConfig(
        weights={
            name: float(weight) for name, weight in zip(names, weights, strict=True) if weight
        },
        metric=metric,
        direction=direction,
        margin=margin_of(metric),
        family=family,
    )


def _table(place: str) -> Mapping[str, Mapping[str, float]]:
    found = next(table for table in tables()["tables"] if table["place"] == place)
    phases: Mapping[str, Mapping[str, float]] = found["phases"]
    return phases


_TABLE_2 = _table("Table 2")
