"""Apportionment, the order of sources by due time, and what prefixes of it have in common."""

import hashlib
import json
from fractions import Fraction

import numpy as np
import pytest

from codepretrain.errors import UserError
from codepretrain.stream.mixture import MixtureStage, apportion, merge, order_prefix, shares

# --- apportionment -----------------------------------------------------------------------------


def test_apportion_by_hand() -> None:
    # quotas 4.7, 3.3, 2.0 of 10: whole parts 4, 3, 2; the row left over goes to the 0.7
    assert apportion({"a": 0.47, "b": 0.33, "c": 0.2}, 10) == {"a": 5, "b": 3, "c": 2}
    # three equal remainders, one row: the first by name
    assert apportion({"z": 1, "y": 1, "x": 1}, 4) == {"x": 2, "y": 1, "z": 1}
    assert apportion({"text": 1, "code": 0}, 5) == {"code": 0, "text": 5}


def test_a_weight_is_the_decimal_it_is_written_as() -> None:
    # In binary 0.1 + 0.2 > 0.3; as decimals the quotas of 10 rows are whole.
    assert apportion({"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4}, 10) == {
        "a": 1,
        "b": 2,
        "c": 3,
        "d": 4,
    }
    assert shares({"a": 0.1, "b": 0.3}) == {"a": Fraction(1, 4), "b": Fraction(3, 4)}
    assert shares({"a": np.float64(0.1), "b": 0.3}) == shares({"a": 0.1, "b": 0.3})


def test_published_split_to_the_row() -> None:
    """180B text + 20B code of 47,684 steps of 512 rows: 90% and 10% to within one row of 24.4M."""
    rows = 47_684 * 512
    counts = apportion({"text": 180e9, "web_code": 16e9, "markup": 4e9}, rows)
    assert counts == {"markup": 488_284, "text": 21_972_787, "web_code": 1_953_137}
    assert sum(counts.values()) == rows


def test_apportion_is_within_a_row_of_the_quota() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        weights = {
            f"s{i}": float(w) for i, w in enumerate(rng.exponential(size=rng.integers(1, 8)))
        }
        num_rows = int(rng.integers(200, 5000))
        try:
            counts = apportion(weights, num_rows)
        except UserError:
            continue
        assert sum(counts.values()) == num_rows
        for source, share in shares(weights).items():
            assert abs(counts[source] - share * num_rows) < 1


def test_refuses_a_positive_weight_without_rows() -> None:
    message = (
        "source 'b' with a share of 0.001 gets no row in a stretch of 100 rows: it needs 1,000"
    )
    with pytest.raises(UserError, match=message):
        apportion({"a": 0.999, "b": 0.001}, 100)
    with pytest.raises(UserError, match=r"1,000 rows \(8,192,000 tokens\)"):
        apportion({"a": 0.999, "b": 0.001}, 100, max_seq_len=8192)
    assert apportion({"a": 0.999, "b": 0.001}, 1000)["b"] == 1
    # below one row a source still gets one if its remainder is among the largest: quota 0.6
    assert apportion({"a": 0.994, "b": 0.006}, 100)["b"] == 1


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"a": -0.5, "b": 1.5}, "the weight of source 'a' is -0.5: expected a number ≥ 0"),
        ({"a": float("nan")}, "the weight of source 'a' is nan"),
        ({"a": float("inf")}, "the weight of source 'a' is inf"),
        ({"a": 0.0}, "has a positive weight"),
        ({}, "has a positive weight"),
    ],
)
def test_refuses_weights(weights: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        apportion(weights, 10)


def random_weights(rng: np.random.Generator) -> dict[str, float]:
    """Two to seven sources, some of them tiny, some equal, one sometimes zero."""
    values = rng.exponential(size=rng.integers(2, 8)).round(3) + 0.003
    if rng.random() < 0.3:
        values[:] = 1.0
    if rng.random() < 0.3:
        values[0] = 0.0
    return {f"s{i}": float(v) for i, v in enumerate(values)}


# --- prefixes ----------------------------------------------------------------------------------


def test_a_prefix_is_the_beginning_of_the_whole_order() -> None:
    rng = np.random.default_rng(3)
    for _ in range(60):
        stages = [
            apportion(random_weights(rng), int(rng.integers(1000, 1500)))
            for _ in range(rng.integers(1, 4))
        ]
        sources = sorted({source for counts in stages for source in counts})
        num_rows = sum(sum(counts.values()) for counts in stages)
        whole = merge(stages, sources, num_rows)
        for stop in (0, 1, 2, num_rows // 3, num_rows - 1):
            np.testing.assert_array_equal(merge(stages, sources, stop), whole[:stop])


def test_a_prefix_hashes_names_and_positions() -> None:
    stages = [MixtureStage(4, {"b": 3, "c": 1, "a": 0})]  # b b c b, by due times 1/6 3/6 3/6 5/6
    prefix = order_prefix(stages, 3)
    assert prefix.rows == {"b": 2, "c": 1}
    assert prefix.digest == hashlib.sha256(json.dumps(["b", "c"]).encode() + b"\0\0\1").hexdigest()
    assert order_prefix(stages, 2).rows == {"b": 2}
    assert order_prefix(stages, 0).rows == {}


def test_extensions_that_agree_on_a_prefix() -> None:
    def prefix(weights: dict[str, float], num_rows: int, stop: int = 40) -> str:
        return order_prefix([MixtureStage(num_rows, weights)], stop).digest

    alone, half, thirds = {"a": 1.0}, {"a": 0.5, "b": 0.5}, {"a": 2 / 3, "b": 1 / 3}
    assert prefix(alone, 40) == prefix(alone, 41) == prefix(alone, 4000)
    assert prefix(half, 40) == prefix(half, 400)
    assert prefix(half, 40) == prefix({"a": 7, "b": 7}, 400)
    assert prefix({"a": 3, "b": 1}, 40) == prefix({"a": 3, "b": 1}, 400)
    # 40 rows are 27 of a and 13 of b, 400 are 267 and 133: another order within the first 40
    assert prefix(thirds, 40) != prefix(thirds, 400)
    assert prefix(thirds, 40, stop=3) == prefix(thirds, 400, stop=3)
    assert prefix(half, 40) != prefix({"a": 0.5, "c": 0.5}, 40)
    assert prefix(alone, 40) != prefix(half, 40)


def test_a_change_of_mixture_after_the_prefix_does_not_matter() -> None:
    first = MixtureStage(40, {"a": 0.5, "b": 0.5})
    later = MixtureStage(40, {"b": 1.0, "c": 1.0})
    assert order_prefix([first], 40) == order_prefix([first, later], 40)
    assert order_prefix([first, first], 44) != order_prefix([first, later], 44)
