import math

import pytest

from codepretrain.inference.noise import checkpoint_noise, signal_to_noise

CURVES = [[9.0, 1.0, 2.0, 3.0], [9.0, 9.0, 4.0, 8.0, 6.0]]


def test_the_noise_is_pooled_over_the_last_checkpoints() -> None:
    assert checkpoint_noise(CURVES, 3) == pytest.approx(math.sqrt((1 + 4) / 2))
    assert signal_to_noise(CURVES, 3) == pytest.approx((6 - 2) / math.sqrt(2.5))


def test_edges() -> None:
    assert signal_to_noise([[1.0, 1.0], [2.0, 2.0]], 2) == math.inf
    assert signal_to_noise([[1.0, 1.0], [1.0, 1.0]], 2) == 0
    with pytest.raises(ValueError, match=r"at least 5 scores of every run, found \[4\]"):
        checkpoint_noise(CURVES, 5)
    with pytest.raises(ValueError, match="at least 2 checkpoints, found 1"):
        checkpoint_noise(CURVES, 1)
