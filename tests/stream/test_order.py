from fractions import Fraction

import numpy as np
import pytest

from codepretrain.errors import UserError
from codepretrain.stream.mixture import MixtureStage, apportion, shares
from codepretrain.stream.order import RowOrder
from codepretrain.stream.permutation import epoch_key, permute


def row_order(
    weights: dict[str, float], num_rows: int, *, batch_size: int = 1, **changes: object
) -> RowOrder:
    arguments: dict = {
        "batch_size": batch_size,
        "seed": 0,
        "start_ordinals": {},
        "rows_available": dict.fromkeys(weights, 7),
    }
    return RowOrder.build([MixtureStage(num_rows, weights)], **(arguments | changes))


def spelled(row_order: RowOrder) -> str:
    return "".join(row_order.sources[index] for index in row_order.source_at)


# --- the order ---------------------------------------------------------------------------------


def test_order_by_hand() -> None:
    # due times: a 1/6 3/6 5/6; b 1/2: the tie at 1/2 goes to a
    assert spelled(row_order({"a": 3, "b": 1}, 4)) == "aaba"
    # a 1/4 3/4; b 1/4 3/4
    assert spelled(row_order({"b": 1, "a": 1}, 4)) == "abab"
    # a 1/2; b 1/6 3/6 5/6; c 1/2
    assert spelled(row_order({"a": 1, "b": 3, "c": 1}, 5)) == "babcb"


def random_weights(rng: np.random.Generator) -> dict[str, float]:
    """Two to seven sources, some of them tiny, some equal, one sometimes zero."""
    values = rng.exponential(size=rng.integers(2, 8)).round(3) + 0.003
    if rng.random() < 0.3:
        values[:] = 1.0
    if rng.random() < 0.3:
        values[0] = 0.0
    return {f"s{i}": float(v) for i, v in enumerate(values)}


def test_order_is_that_of_the_exact_due_times() -> None:
    """The closed form against sorting fractions."""
    rng = np.random.default_rng(1)
    for _ in range(60):
        weights = random_weights(rng)
        num_rows = int(rng.integers(2000, 2500)) if rng.random() < 0.2 else 700
        order = row_order(weights, num_rows)
        due = [
            (Fraction(2 * k + 1, 2 * count), source)
            for source, count in apportion(weights, num_rows).items()
            for k in range(count)
        ]
        assert [order.sources[i] for i in order.source_at] == [source for _, source in sorted(due)]


def test_prefix_bound() -> None:
    """Every prefix of every order: the docstring's bound, in exact arithmetic."""
    rng = np.random.default_rng(2)
    worst = 0.0
    for _ in range(200):
        weights = random_weights(rng)
        num_rows = int(rng.integers(600, 1500))
        order = row_order(weights, num_rows)
        counts = apportion(weights, num_rows)
        num_sources = sum(count > 0 for count in counts.values())
        m = np.arange(num_rows + 1)
        for index, source in enumerate(order.sources):
            so_far = np.concatenate([[0], np.cumsum(order.source_at == index)])
            n = counts[source]
            if n == 0:
                assert not so_far.any()
                continue
            # |c − m·n/N| ≤ ½ + (n/N)(S/2 − 1), times 2N: integers on both sides
            off = np.abs(2 * num_rows * so_far - 2 * m * n)
            bound = num_rows + n * (num_sources - 2)
            assert off.max() <= bound
            worst = max(worst, off.max() / max(bound, 1))  # 0 if there is one source
            share = shares(weights)[source]
            rounding = abs(n - share * num_rows)
            against_asked = np.abs(so_far - m * float(share))
            assert (
                against_asked <= bound / (2 * num_rows) + float(rounding) * m / num_rows + 1e-9
            ).all()
        assert so_far[-1] == n
    assert worst > 0.95  # the bound is no wider than it need be


def test_exact_over_the_phase_and_the_prefix_counts() -> None:
    weights = {"a": 0.5, "b": 0.3, "c": 0.2}
    order = row_order(weights, 200_000, batch_size=8)  # three blocks of counts and a rest
    assert order.num_steps == 25_000
    assert order.counts(200_000) == {"a": 100_000, "b": 60_000, "c": 40_000}
    for m in (0, 1, 65_535, 65_536, 65_537, 131_072, 199_999):
        expected = np.bincount(order.source_at[:m], minlength=3).tolist()
        assert list(order.counts(m).values()) == expected


def test_at_most_one_row_per_change_of_mixture() -> None:
    stages = [
        MixtureStage(101, {"a": 0.5, "b": 0.5}),
        MixtureStage(53, {"a": 0.2, "b": 0.7, "c": 0.1}),
        MixtureStage(46, {"a": 0.0, "c": 1.0}),
    ]
    order = RowOrder.build(
        stages,
        batch_size=10,
        seed=0,
        start_ordinals={},
        rows_available={"a": 5, "b": 5, "c": 5},
    )
    assert order.sources == ("a", "b", "c")
    assert spelled(order)[154:] == "c" * 46  # weight 0 and absent: no row
    for m in range(201):
        requested, counts = order.requested(m), order.counts(m)
        assert sum(requested.values()) == m
        num_changes = (m > 101) + (m > 154)
        for source in order.sources:
            assert abs(counts[source] - requested[source]) < 0.5 + 0.5 + 1 + num_changes


# --- rows --------------------------------------------------------------------------------------


def test_rows_by_hand() -> None:
    """a holds 3 rows and starts at its second; b holds 100."""
    order = row_order(
        {"a": 3, "b": 1}, 4, start_ordinals={"a": 1}, rows_available={"a": 3, "b": 100}
    )
    rows = order.rows(0, 4)  # a a b a
    assert rows.source_index.tolist() == [0, 0, 1, 0]
    assert rows.ordinal.tolist() == [1, 2, 0, 3]
    assert rows.epoch.tolist() == [0, 0, 0, 1]
    first = permute(np.arange(3), num_rows=3, key=epoch_key(0, "a", 0)).tolist()
    second = permute(np.arange(3), num_rows=3, key=epoch_key(0, "a", 1)).tolist()
    of_b = permute(np.arange(100), num_rows=100, key=epoch_key(0, "b", 0)).tolist()
    assert rows.record.tolist() == [first[1], first[2], of_b[0], second[0]]
    assert order.ordinals_at(3) == {"a": 3, "b": 1}


def test_any_range_is_a_slice_of_the_whole() -> None:
    order = row_order({"a": 5, "b": 2, "c": 1}, 120, batch_size=6, start_ordinals={"b": 11})
    whole = order.rows(0, 120)
    for start, stop in ((0, 0), (0, 1), (7, 40), (119, 120), (120, 120)):
        for part, all_of_it in zip(order.rows(start, stop), whole, strict=True):
            np.testing.assert_array_equal(part, all_of_it[start:stop])
    np.testing.assert_array_equal(order.batch(3).record, whole.record[18:24])


def test_each_epoch_reads_every_row_once() -> None:
    order = row_order({"a": 1}, 35, rows_available={"a": 7})
    rows = order.rows(0, 35)
    for epoch in range(5):
        assert sorted(rows.record[rows.epoch == epoch].tolist()) == list(range(7))
    orders = {tuple(rows.record[rows.epoch == epoch].tolist()) for epoch in range(5)}
    assert len(orders) == 5


def test_a_source_is_read_in_the_same_order_whatever_the_mixture() -> None:
    held = {"text": 50, "code": 30, "math": 9}
    alone = row_order({"text": 1}, 60, rows_available=held).rows(0, 60)
    mixed = row_order({"text": 2, "code": 1, "math": 1}, 240, rows_available=held)
    rows = mixed.rows(0, 240)
    of_text = rows.source_index == mixed.sources.index("text")
    np.testing.assert_array_equal(rows.record[of_text][:60], alone.record)
    np.testing.assert_array_equal(rows.epoch[of_text][:60], alone.epoch)


def test_a_child_goes_on_where_its_parent_stopped() -> None:
    held = {"text": 50, "code": 30}
    one = row_order({"text": 1, "code": 1}, 80, rows_available=held)
    first = row_order({"text": 1, "code": 1}, 40, rows_available=held)
    child = row_order(
        {"text": 1, "code": 1}, 40, rows_available=held, start_ordinals=first.ordinals_at(40)
    )
    whole = one.rows(0, 80)
    parts = [
        np.concatenate(columns)
        for columns in zip(first.rows(0, 40), child.rows(0, 40), strict=True)
    ]
    for part, column in zip(parts, whole, strict=True):
        np.testing.assert_array_equal(part, column)


def test_carries_a_source_that_the_phase_does_not_read() -> None:
    order = row_order(
        {"text": 1}, 4, start_ordinals={"code": 9}, rows_available={"text": 4, "code": 5}
    )
    assert order.sources == ("code", "text")
    assert order.ordinals_at(4) == {"code": 9, "text": 4}


def test_refuses_an_empty_source() -> None:
    with pytest.raises(UserError, match="source 'b' holds no rows: prepare it"):
        row_order({"a": 1, "b": 1}, 4, rows_available={"a": 3, "b": 0})
    with pytest.raises(UserError, match="source 'b' holds no rows"):
        row_order({"a": 1, "b": 1}, 4, rows_available={"a": 3})


def test_rows_of_the_path_are_counted_apart_from_the_cursor() -> None:
    restarted = row_order(
        {"text": 1},
        4,
        path_rows_before={"code": 9, "text": 6},
        rows_available={"text": 4, "code": 5},
    )
    assert restarted.sources == ("code", "text")
    assert restarted.start_ordinals == {"code": 0, "text": 0}
    assert restarted.path_rows_before == {"code": 9, "text": 6}
    continued = row_order({"text": 1}, 4, start_ordinals={"text": 6})
    assert continued.path_rows_before == {"text": 6}
