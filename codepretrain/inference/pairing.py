"""Pairing the items of two models by their ids."""

from collections.abc import Sequence

import numpy as np

_SHOWN = 3  # ids in a message


def places_of(
    ids: Sequence[str], others: Sequence[str], *, named: str = "the baseline"
) -> np.ndarray:
    """Returns the place of each id among the others: [len(ids)] int.

    Raises:
      ValueError: the two have different ids, or an id names two items.
    """
    place_of = {name: place for place, name in enumerate(others)}
    if len(place_of) < len(others) or len(set(ids)) < len(ids):
        raise ValueError(
            f"cannot pair items with {named}'s: expected distinct ids, found an id more than once"
        )
    missing = [name for name in ids if name not in place_of]
    extra = sorted(place_of.keys() - set(ids))
    if missing or extra:
        raise ValueError(
            f"cannot pair {len(ids)} items with {named}'s {len(others)}: "
            f"{_named(missing)} only here, {_named(extra)} only in {named}"
        )
    return np.array([place_of[name] for name in ids], int)


def check_groups(
    clusters: Sequence[str],
    others: Sequence[str],
    strata: np.ndarray,
    other_strata: np.ndarray,
    *,
    named: str = "the baseline",
) -> None:
    """Checks that paired items are in the same clusters and strata.

    Raises:
      ValueError: they are not.
    """
    if list(clusters) != list(others):
        raise ValueError(f"the items are in other clusters (documents) than {named}'s")
    if not np.array_equal(strata, other_strata):
        raise ValueError(f"the items are in other strata (sources) than {named}'s")


def _named(names: Sequence[str]) -> str:
    if not names:
        return "none"
    more = f", … ({len(names):,})" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
