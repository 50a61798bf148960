import numpy as np
import pytest

from codepretrain.evals.language_model.packing import PackedRows, pack_groups
from codepretrain.evals.language_model.shared_prefixes import Group


def pack(groups: list[Group], *, rows: int, max_seq_len: int) -> list[PackedRows]:
    return pack_groups(
        groups, tokens_at_once=rows * max_seq_len, row_multiple=2, max_seq_len=max_seq_len
    )


def check(packed: list[PackedRows], groups: list[Group]) -> None:
    """Every group is in one row, and every row has room for its groups."""
    rows = [(one, row) for one in packed for row in one.rows]
    found = [group.numbers for _, row in rows for group in row]
    assert sorted(found) == sorted(group.numbers for group in groups)
    for one, row in rows:
        assert sum(group.prefix_tokens for group in row) <= one.prefix_width
        assert sum(group.branch_tokens for group in row) <= one.branch_width


def test_equal_groups_leave_no_padding_and_narrow_rows_are_computed_together() -> None:
    groups = [Group((n,), 64, 32) for n in range(16)]
    (packed,) = pack(groups, rows=4, max_seq_len=256)
    check([packed], groups)
    assert (packed.prefix_width, packed.branch_width, len(packed.rows)) == (64, 32, 16)
    assert packed.rows_at_once == 8, "sixteen rows would be more than 4 · 256 tokens"
    (packed,) = pack(groups[:3], rows=4, max_seq_len=256)
    assert packed.rows_at_once == 4, "there are no eight rows"


def test_a_batch_has_at_least_as_many_rows_as_the_devices_need() -> None:
    (packed,) = pack([Group((0,), 200, 30)], rows=1, max_seq_len=256)
    assert (len(packed.rows), packed.rows_at_once) == (1, 2)


def test_few_groups_have_narrow_rows() -> None:
    groups = [Group((n,), 20, 5) for n in range(3)]
    (packed,) = pack(groups, rows=8, max_seq_len=1024)
    assert (packed.prefix_width, packed.branch_width, packed.rows_at_once) == (48, 16, 2)


def test_many_branches_to_a_prefix_need_no_wide_prefix() -> None:
    groups = [Group((n,), 2, 16) for n in range(320)]
    (packed,) = pack(groups, rows=4, max_seq_len=1024)
    assert packed.prefix_width * 8 == packed.branch_width <= 512


def test_groups_without_prefix_and_long_ones_have_shapes_of_their_own() -> None:
    groups = [Group((0,), 0, 300), Group((1,), 0, 9), Group((2,), 700, 3), Group((3,), 8, 3)]
    packed = pack(groups, rows=4, max_seq_len=800)
    check(packed, groups)
    assert [(one.prefix_width, one.branch_width) for one in packed] == [
        (0, 16),
        (0, 320),
        (16, 16),
        (704, 16),
    ]


@pytest.mark.parametrize("seed", range(10))
def test_random_groups_fit_and_fill_their_rows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    prefixes, branches = rng.integers(0, 400, 1000), rng.integers(1, 100, 1000)
    groups = [
        Group((n,), int(p), int(b)) for n, (p, b) in enumerate(zip(prefixes, branches, strict=True))
    ]
    packed = pack(groups, rows=8, max_seq_len=512)
    check(packed, groups)
    used = sum(group.prefix_tokens + group.branch_tokens for group in groups)
    assert used > 0.7 * sum(one.width * len(one.rows) for one in packed)


def test_no_groups_need_no_rows() -> None:
    assert pack([], rows=8, max_seq_len=512) == []
