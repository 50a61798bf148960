import re

import pytest

from codepretrain.data.deduplicate import DeduplicationSettings
from codepretrain.errors import UserError
from tests.data.deduplicate.corpora import SETTINGS


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ngram_size": 0}, "c.ngram_size: expected at least 1, found 0"),
        ({"num_bands": 0}, "c.num_bands: expected at least 1, found 0"),
        ({"rows_per_band": 0}, "c.rows_per_band: expected at least 1, found 0"),
        ({"num_permutations": 0}, "c.num_permutations: expected at least 1, found 0"),
        ({"memory_bytes": 2**20 - 1}, "c.memory_bytes: expected at least 1048576, found 1048575"),
        ({"threshold": 0.0}, "c.threshold: expected more than 0 and at most 1, found 0.0"),
        ({"threshold": 1.01}, "c.threshold: expected more than 0 and at most 1, found 1.01"),
        ({"num_permutations": 251}, "num_bands × rows_per_band = 252, found 251"),
    ],
)
def test_values_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        DeduplicationSettings(**options).check("c")


def test_values_at_the_edge_of_the_range() -> None:
    SETTINGS.check("c")
    DeduplicationSettings(num_permutations=252, threshold=1.0, memory_bytes=2**20).check("c")


def test_probabilities_of_the_docstring() -> None:
    assert SETTINGS.candidate_probability(0.5) == pytest.approx(0.484, abs=1e-3)
    assert SETTINGS.candidate_probability(0.7) == pytest.approx(0.995, abs=1e-3)
    assert 1 - SETTINGS.candidate_probability(0.8) == pytest.approx(3e-6, rel=0.2)


def test_how_many_low_bytes_must_be_equal() -> None:
    assert SETTINGS.min_equal == 180  # 0.7 · 256 = 179.2, and 0.3 of equal bytes by chance
    assert DeduplicationSettings(threshold=1.0).min_equal == 256
    assert DeduplicationSettings(threshold=128 / 255).min_equal == 129  # exactly 128 + 1
