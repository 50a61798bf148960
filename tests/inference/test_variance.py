"""The margin of a contrast: by hand, and its error rate far out, where families decide."""

import numpy as np
import pytest
from scipy import special, stats

from codepretrain.inference.variance import Parts, combined, of_items


def test_each_part_has_the_quantile_of_its_own_degrees_of_freedom() -> None:
    parts = Parts(run=0.5, excess=0.3, item=0.4, run_freedom=3.0, item_freedom=50.0)
    of_run, of_item = stats.t.ppf(0.975, [3, 50])
    half = np.sqrt(of_run**2 * 0.5 + of_item**2 * 0.3)
    assert parts.margin(0.025) == pytest.approx(half)
    assert parts.tail(half) == pytest.approx(0.025)
    assert parts.variance == 0.8


def test_a_single_part_is_students() -> None:
    parts = of_items(0.04, 7.0)
    assert parts.tail(0.5) == pytest.approx(stats.t.sf(2.5, 7))
    assert parts.freedom == 7
    alone = Parts(run=0.04, excess=0.0, item=0.01, run_freedom=4.0, item_freedom=99.0)
    assert alone.tail(0.5) == pytest.approx(stats.t.sf(2.5, 4))
    assert alone.tail(1e60) == 0.0
    assert alone.tail(0.0) == 0.5


def rejected(
    counts: tuple[int, ...], *, share: float, level: float, spreads: tuple[float, ...] = (1, 1)
) -> float:
    """Returns how often equal recipes differ, with a share of the variance from runs.

    Half of the rest is of items, half of run × item; 400 items. By conditional expectation: given
    the mean squares, the estimate is normal.
    """
    rng, draws, num_items = np.random.default_rng(0), 20_000, 400
    numbers = np.array(counts, float)
    rest = (1 - share) / 2 * (1 / numbers) / np.sum(1 / numbers)
    run = np.square(spreads[: len(counts)]) / numbers
    run = share * run / run.sum() + rest

    def chi2(freedom: float) -> np.ndarray:
        return rng.chisquare(freedom, draws) / freedom

    parts = combined(
        np.stack([of * chi2(count - 1) for of, count in zip(run, numbers, strict=True)]),
        (1 - share) * chi2(num_items - 1),
        sum(of * chi2((s - 1) * (num_items - 1)) for of, s in zip(rest, numbers, strict=True)),
        run_freedoms=numbers - 1,
        design=1 / numbers,
        item_freedom=num_items - 1,
    )
    return float(2 * special.ndtr(-parts.margin(level / 2)).mean())


@pytest.mark.parametrize("level", [0.05, 0.05 / 9])
@pytest.mark.parametrize("counts", [(2, 2), (3, 3), (5, 5), (8, 8), (3, 5), (2,), (3,), (5,)])
def test_equal_recipes_differ_in_no_more_than_the_level(
    counts: tuple[int, ...], level: float
) -> None:
    """Once up to 2.5 times as many at 5%, and 12 times at 5%/9 (2 pairs of runs; LOG.md)."""
    for share in (0.0, 0.4, 0.6, 0.8, 0.95):
        found = rejected(counts, share=share, level=level)
        assert found <= 1.04 * level, (share, found / level)


def test_unequal_spreads_are_as_lenient_as_the_documentation_says() -> None:
    """docs/replicates.md: one recipe that spreads 5 times as much as the other."""
    for counts, at_5_percent, far_out in [((3, 3), 0.0600, 2.0), ((5, 5), 0.0550, 1.6)]:
        of = [
            [rejected(counts, share=s, level=level, spreads=(1, 5)) / level for s in (0.8, 0.95)]
            for level in (0.05, 0.05 / 9)
        ]
        assert 1.0 < max(of[0]) <= at_5_percent / 0.05
        assert 1.2 < max(of[1]) <= far_out
