import doctest
import itertools

import numpy as np
import pytest

from codepretrain.inference import trend
from codepretrain.inference.trend import dose_weights, factorial_weights

FACTORS = ("pretraining", "continued", "cooldown")
CELLS = [
    dict(zip(FACTORS, cell, strict=True)) for cell in itertools.product([False, True], repeat=3)
]


def test_the_examples() -> None:
    assert doctest.testmod(trend).failed == 0


def test_the_slope_is_that_of_least_squares() -> None:
    doses, y = [0, 25, 50, 75, 90, 100], np.array([1.0, 4.0, 2.0, 7.0, 5.0, 9.0])
    assert dose_weights(doses) @ y == pytest.approx(np.polyfit(doses, y, 1)[0])
    assert dose_weights(doses).sum() == pytest.approx(0)
    with pytest.raises(ValueError, match=r"two different ones, found \[5, 5\]"):
        dose_weights([5, 5])


def test_planted_effects_of_a_factorial_are_recovered() -> None:
    """y = 2·a + 3·b·c + 5·a·b·c: effects as differences of means, of differences, and so on."""
    y = np.array(
        [
            2 * cell["pretraining"]
            + 3 * (cell["continued"] and cell["cooldown"])
            + 5 * all(cell.values())
            for cell in CELLS
        ],
        float,
    )
    expected = {
        ("pretraining",): 2 + 5 / 4,
        ("continued",): 3 / 2 + 5 / 4,
        ("continued", "cooldown"): 3 + 5 / 2,
        ("pretraining", "cooldown"): 5 / 2,
        FACTORS: 5,
    }
    for effect, value in expected.items():
        assert factorial_weights(CELLS, effect) @ y == pytest.approx(value), effect


def test_messages() -> None:
    with pytest.raises(ValueError, match=r"each of the 8 combinations .* found 7 in 7 arms"):
        factorial_weights(CELLS[1:], ["cooldown"])
    with pytest.raises(ValueError, match=r"expected some of .* found \['soup'\]"):
        factorial_weights(CELLS, ["soup"])
