"""Packs groups of sequences into rows of a few shapes.

A row of width S + C has room for prefixes of S tokens and branches of C tokens, of one or more
groups (`model/branches.py` shows one). Groups without a prefix have rows of their own, with S = 0,
which go through the attention kernel as a whole.

Groups are divided by the power of two that their longest part fits in, since attention over a wide
row of short groups is wasted where the kernel computes all of it. Each class gets one shape.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from codepretrain.evals.language_model.shared_prefixes import MAX_BRANCH_TOKENS, Group
from codepretrain.evals.language_model.widths import rounded

_NARROWEST = 256  # classes of narrower rows
_FACTORS = (1, 1.125, 1.25, 1.5, 2, 3, 4, 6, 8, 16, 32)  # of the longest group
_BATCH_COST = 512  # of a batch in itself, as a number of positions
_SAMPLE = 1000  # groups that widths are tried with
_NUM_OPEN = 64  # rows that a group may still join


@dataclass(frozen=True)
class PackedRows:
    """Rows of one shape, each a list of groups.

    rows_at_once: how many to compute together.
    """

    prefix_width: int
    branch_width: int
    rows: list[list[Group]]
    rows_at_once: int

    @property
    def width(self) -> int:
        return self.prefix_width + self.branch_width

    @property
    def cost(self) -> int:
        """The positions to compute; a branch's count twice, since they need logits."""
        num_batches = -(-len(self.rows) // self.rows_at_once)
        positions = self.rows_at_once * (self.prefix_width + 2 * self.branch_width)
        return num_batches * (positions + _BATCH_COST)


def pack_groups(
    groups: Sequence[Group], *, tokens_at_once: int, row_multiple: int, max_seq_len: int
) -> list[PackedRows]:
    """Returns all groups in rows, those of the narrowest shape first.

    Args:
      tokens_at_once: the most tokens of a batch, unless `row_multiple` rows have more.
      row_multiple: the number of rows of a batch is this times a power of two.
    """
    classes: dict[tuple[bool, int], list[Group]] = defaultdict(list)
    for group in groups:
        size = max(_NARROWEST, 1 << (_length(group) - 1).bit_length())
        classes[group.prefix_tokens > 0, min(size, max_seq_len)].append(group)
    packed = []
    limits = {"tokens_at_once": tokens_at_once, "row_multiple": row_multiple}
    for (has_prefix, widest), members in sorted(classes.items()):
        sample = members[:: -(-len(members) // _SAMPLE)]
        tried = [
            _packed(sample, *widths, **limits)
            for widths in _candidates(members, has_prefix, widest)
        ]
        best = min(tried, key=lambda one: (one.cost, one.width))
        packed.append(_packed(members, best.prefix_width, best.branch_width, **limits))
    return packed


def _candidates(groups: Sequence[Group], has_prefix: bool, widest: int) -> list[tuple[int, int]]:
    """Returns pairs S, C to try, from the width of the longest group to the widest."""
    longest = max(map(_length, groups))
    lengths = {min(int(longest * factor), max(widest, longest)) for factor in _FACTORS}
    if not has_prefix:
        return [(0, rounded(length)) for length in sorted(lengths)]
    most = max(group.branch_tokens for group in groups)
    ratio = sum(group.branch_tokens for group in groups) / sum(map(_length, groups))
    pairs = []
    for length in sorted(lengths):
        S = rounded(length)
        pairs.append((S, rounded(max(most, min(int(S * ratio), MAX_BRANCH_TOKENS)))))
    return pairs


def _length(group: Group) -> int:
    """Returns the length of a group's part that decides the width of its row."""
    return group.prefix_tokens or group.branch_tokens


def _packed(
    groups: Sequence[Group],
    prefix_width: int,
    branch_width: int,
    *,
    tokens_at_once: int,
    row_multiple: int,
) -> PackedRows:
    """Returns the groups in rows of these widths, in batches that cost least."""
    rows = _fill(groups, prefix_width, branch_width)
    tried: list[PackedRows] = []
    at_once = row_multiple
    while not tried or (
        at_once * (prefix_width + branch_width) <= tokens_at_once and at_once < 2 * len(rows)
    ):
        tried.append(PackedRows(prefix_width, branch_width, rows, at_once))
        at_once *= 2
    return min(tried, key=lambda one: (one.cost, -one.rows_at_once))


def _fill(groups: Sequence[Group], prefix_width: int, branch_width: int) -> list[list[Group]]:
    """Returns rows of groups by best fit in decreasing size."""
    rows: list[list[Group]] = []
    room: dict[int, tuple[int, int]] = {}  # of the rows that are open
    for group in sorted(groups, key=lambda g: (-g.prefix_tokens, -g.branch_tokens, g.numbers)):
        sizes = (group.prefix_tokens, group.branch_tokens)
        fits = [row for row, left in room.items() if sizes[0] <= left[0] and sizes[1] <= left[1]]
        if fits:
            row = min(fits, key=lambda row: (sum(room[row]), row))
        else:
            row = len(rows)
            rows.append([])
            room[row] = (prefix_width, branch_width)
            if len(room) > _NUM_OPEN:
                del room[min(room, key=lambda row: (sum(room[row]), row))]
        rows[row].append(group)
        room[row] = (room[row][0] - sizes[0], room[row][1] - sizes[1])
    return rows
