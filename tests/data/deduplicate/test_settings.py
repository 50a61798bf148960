import pytest

from codepretrain.data.deduplicate import DeduplicationSettings
from tests.data.deduplicate.corpora import SETTINGS


def candidate_probability(similarity: float) -> float:
    return 1 - (1 - similarity**SETTINGS.rows_per_band) ** SETTINGS.num_bands


def test_probabilities_of_the_docstring() -> None:
    assert candidate_probability(0.5) == pytest.approx(0.484, abs=1e-3)
    assert candidate_probability(0.7) == pytest.approx(0.995, abs=1e-3)
    assert 1 - candidate_probability(0.8) == pytest.approx(3e-6, rel=0.2)


def test_how_many_low_bytes_must_be_equal() -> None:
    assert SETTINGS.min_equal == 180  # 0.7 · 256 = 179.2, and 0.3 of equal bytes by chance
    assert DeduplicationSettings(threshold=1.0).min_equal == 256
    assert DeduplicationSettings(threshold=128 / 255).min_equal == 129  # exactly 128 + 1
