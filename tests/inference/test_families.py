import math

import numpy as np
import pytest
from scipy import special
from statsmodels.stats.multitest import multipletests

from codepretrain.inference.families import adjusted, adjusted_with_equivalence, holm

DRAWS = 2000
P_VALUES = {"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}


def test_holm() -> None:
    found = adjusted(P_VALUES, method="holm")
    assert found == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})


def test_holm_by_hand() -> None:
    # sorted: .01 ×4 = .04, .02 ×3 = .06, .03 ×2 = .06 (never below the one before), .9 ×1
    assert holm([0.02, 0.9, 0.01, 0.03]) == pytest.approx([0.06, 0.9, 0.04, 0.06])
    assert holm([]) == []


@pytest.mark.parametrize("size", [1, 2, 9, 200])
def test_holm_is_that_of_statsmodels(size: int) -> None:
    p_values = np.random.default_rng(size).beta(0.3, 1, size).round(3)  # some are equal
    _, expected, _, _ = multipletests(p_values, method="holm")
    assert holm(list(p_values)) == pytest.approx(list(expected))


def test_benjamini_hochberg() -> None:
    found = adjusted(P_VALUES, method="benjamini-hochberg")
    assert found == pytest.approx({"a": 0.02, "b": 0.04, "c": 0.04, "d": 0.02})


def test_edges() -> None:
    assert adjusted({}, method="holm") == {}
    assert adjusted({"a": 1.0, "b": 1.0}, method="holm") == {"a": 1.0, "b": 1.0}
    with pytest.raises(ValueError, match="p-value of b: expected a number from 0 to 1, found nan"):
        adjusted({"a": 0.1, "b": float("nan")}, method="holm")


def test_contrasts_with_one_hypothesis_are_corrected_by_holm() -> None:
    nothing = dict.fromkeys(P_VALUES)
    for found in (
        adjusted_with_equivalence(P_VALUES, nothing)[0],
        adjusted_with_equivalence(nothing, P_VALUES)[1],
    ):
        assert found == pytest.approx(adjusted(P_VALUES, method="holm"))
    mixed = adjusted_with_equivalence({**P_VALUES, "a": None}, {**nothing, "a": P_VALUES["a"]})
    assert mixed[1]["a"] == pytest.approx(adjusted(P_VALUES, method="holm")["a"])
    assert mixed[0]["a"] is None


def test_both_hypotheses_by_hand() -> None:
    """Neither finding of a contrast makes another easier; both together do."""
    different, within = adjusted_with_equivalence({"a": 0.01, "b": 0.5}, {"a": 0.9, "b": 0.04})
    assert different == {"a": 0.02, "b": 1.0}
    assert within == {"a": pytest.approx(1.0), "b": pytest.approx(0.08)}
    # a differs from 0 and is within the margin, so that only b may have a true hypothesis.
    different, within = adjusted_with_equivalence({"a": 0.01, "b": 0.5}, {"a": 0.02, "b": 0.04})
    assert within == {"a": pytest.approx(0.04), "b": pytest.approx(0.04)}
    assert adjusted_with_equivalence({"a": 0.03}, {"a": 0.2}) == ({"a": 0.03}, {"a": 0.2})


@pytest.mark.parametrize("num_equal", [0, 1, 2, 4])
def test_false_findings_of_either_kind_in_a_family(num_equal: int) -> None:
    """Of 4 precise contrasts, `num_equal` are 0 and the others at the margin: 5% in all.

    Holm for each kind by itself: 9 to 10% where both kinds are among them.
    """
    margin = 8.0  # in standard errors
    true = np.where(np.arange(4) < num_equal, 0.0, margin)
    estimates = true + np.random.default_rng(num_equal).normal(size=(DRAWS, 4))
    different = 2 * special.ndtr(-np.abs(estimates))
    within = special.ndtr(np.abs(estimates) - margin)
    wrong = {"together": 0, "apart": 0}
    for of_difference, of_margin in zip(different, within, strict=True):
        pair = [dict(enumerate(of)) for of in (of_difference.tolist(), of_margin.tolist())]
        apart = [dict(enumerate(holm(list(of.values())))) for of in pair]
        for name, found in (("together", adjusted_with_equivalence(*pair)), ("apart", apart)):
            false = [found[0 if i < num_equal else 1][i] for i in range(4)]
            wrong[name] += min(p for p in false if p is not None) < 0.05
    assert wrong["together"] / DRAWS < 0.05 + 2 * math.sqrt(0.05 * 0.95 / DRAWS)
    if num_equal in (1, 2):
        assert wrong["apart"] / DRAWS > 0.08
