"""The pairs of variants that a command line asks for."""

import dataclasses

import pytest

from codepretrain.errors import UserError
from codepretrain.study.win_rates import variant_pairs
from tests.configs import small_study


def names(pairs: str | None, *, baseline: str | None = "a") -> list[tuple[str, str]]:
    study = small_study()
    phase = study.variants["annealed"]
    variants = dict.fromkeys("abc", phase)
    return variant_pairs(dataclasses.replace(study, variants=variants, baseline=baseline), pairs)


def test_every_variant_against_the_baseline() -> None:
    assert names(None) == [("b", "a"), ("c", "a")]


def test_chosen_pairs_are_taken_once() -> None:
    assert names("a:b, c : b,a:b") == [("a", "b"), ("c", "b")]


def test_without_a_baseline_pairs_are_needed() -> None:
    with pytest.raises(UserError, match=r"--pairs: config.baseline names no variant to compare"):
        names(None, baseline=None)
    assert names("c:a", baseline=None) == [("c", "a")]


@pytest.mark.parametrize("pairs", ["a", "a:a", "a:b:c", "", "a:", "a:b,"])
def test_texts_that_are_no_pairs(pairs: str) -> None:
    with pytest.raises(UserError, match=r"--pairs: (expected two different|there is no variant)"):
        names(pairs)


def test_a_study_with_its_baseline_alone() -> None:
    study = small_study()
    alone = dataclasses.replace(study, baseline="annealed")
    with pytest.raises(UserError, match="no variant beside its baseline"):
        variant_pairs(alone, None)
