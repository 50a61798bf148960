"""The source at every position of a phase: a pure function of the config.

A phase is a sequence of *stages*, each with constant weights. In a stage of N rows, source s gets
n_s rows by Hamilton apportionment of the weights w_s (normalized to sum to one), and its row k is
due at time (k + ½)/n_s. The order is that of all rows sorted by due time, ties by source name.

**How far a prefix can be off.** Let c_s be the rows of source s among the first m rows of the
stage, p_s = n_s/N, S the number of sources with n_s > 0, and τ the due time of the m-th row.
Source s has between #{k : (k+½)/n_s < τ} = ⌈n_s·τ − ½⌉ and #{k : (k+½)/n_s ≤ τ} = ⌊n_s·τ + ½⌋ rows
there, so e_s = c_s − n_s·τ obeys |e_s| ≤ ½. Summed over the sources, Σe = m − N·τ, hence

    c_s − p_s·m = e_s − p_s·Σe = (1 − p_s)·e_s − p_s·Σ_{t≠s} e_t
    |c_s − p_s·m| ≤ ½(1 − p_s) + ½·p_s·(S − 1) = ½ + p_s·(S/2 − 1)  <  ½ + p_s·S/2.

With two sources that is ½: no integer sequence could do better. At m = N it is 0: c_s = n_s.

**Against the weights as asked for.** Apportionment leaves |n_s − w_s·N| < 1, which enters in
proportion: |c_s − w_s·m| ≤ ½ + p_s·(S/2 − 1) + |n_s − w_s·N|·m/N, at most one row more.

**Across stages.** Each stage is apportioned by itself, so a prefix that ends in stage j is
off by at most the bound of stage j plus Σ_{i<j} |n_s − w_s·N| over the stages before it: less
than one row for every change of mixture, and nothing where w_s·N is a whole number.

**No ties by rounding.** Due times are never computed. Row k of s comes after row l of t exactly if
(2l+1)·n_s < (2k+1)·n_t, or they are equal and t is before s by name. The number of such l gives the
position

    k + Σ_{t before s} ⌊((2k+1)·n_t + n_s) / 2n_s⌋ + Σ_{t after s} ⌊((2k+1)·n_t + n_s − 1) / 2n_s⌋,

exact in 64-bit integers for N < 2³², with no sort and the same on every platform.
"""

import functools
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from codepretrain.errors import UserError

_CHUNK = 1 << 15  # positions whose intermediate results stay in a core's cache


def shares(weights: Mapping[str, float]) -> dict[str, Fraction]:
    """Returns the weights as exact fractions that sum to one, in name order.

    A float counts as the decimal number it is printed as: 0.1 is 1/10.

    Raises:
      UserError: a weight is negative or not finite, or none is positive.
    """
    for source, weight in weights.items():
        if not math.isfinite(weight) or weight < 0:
            raise UserError(f"the weight of source {source!r} is {weight}: expected a number ≥ 0")
    exact = {source: Fraction(str(weights[source])) for source in sorted(weights)}
    total = sum(exact.values())
    if total == 0:
        raise UserError(f"no source in the mixture {dict(weights)} has a positive weight")
    return {source: weight / total for source, weight in exact.items()}


def apportion(
    weights: Mapping[str, float], num_rows: int, *, max_seq_len: int | None = None
) -> dict[str, int]:
    """Returns how many of `num_rows` rows each source gets, by Hamilton's method, in name order.

    Each source gets the whole part of its quota w_s · num_rows; the rows left over go one each to
    the largest fractional parts, ties by name order. So the counts sum to `num_rows`, each differs
    from its quota by less than one, and a weight of 0 gets 0 rows (its fractional part is 0, and
    there are fewer rows left over than sources with a positive part).

    A positive weight gets at least one row whenever its quota reaches one, num_rows ≥ 1/w_s, and
    below that only if its fractional part is among the largest. A mixture in which it would get
    none is refused, so no source is silently omitted.

    max_seq_len: tokens per row, only to name tokens in the error.

    Raises:
      UserError: as `shares`, or a positive weight would get no row.
    """
    assert num_rows > 0, num_rows
    exact = shares(weights)
    counts = {source: math.floor(share * num_rows) for source, share in exact.items()}
    num_left_over = num_rows - sum(counts.values())
    by_remainder = sorted(exact, key=lambda source: counts[source] - exact[source] * num_rows)
    for source in by_remainder[:num_left_over]:
        counts[source] += 1
    for source, share in exact.items():
        if share > 0 and counts[source] == 0:
            needed = math.ceil(1 / share)
            tokens = f" ({needed * max_seq_len:,} tokens)" if max_seq_len else ""
            raise UserError(
                f"source {source!r} with a share of {float(share):.3g} gets no row in a stretch of "
                f"{num_rows:,} rows: it needs {needed:,} rows{tokens}; lengthen the stretch, raise "
                "the weight or remove the source"
            )
    return counts


@dataclass(frozen=True)
class MixtureStage:
    """A stretch of `num_rows` rows with constant weights; a source of weight 0 gets no row."""

    num_rows: int
    weights: Mapping[str, float]


@dataclass(frozen=True)
class OrderPrefix:
    """The first rows of a phase: how many each source has, and a hash of their order.

    Two phases with equal prefixes have the same source at each of these positions, whatever their
    weights and lengths are.
    """

    rows: Mapping[str, int]  # of the sources that have any, in name order
    digest: str


def order_prefix(stages: Sequence[MixtureStage], num_rows: int) -> OrderPrefix:
    """Returns the sources of the first `num_rows` positions of a phase with these stages.

    Computed from the order itself, which takes about 15 ns a row, and cached.
    """
    counts = tuple(tuple(apportion(stage.weights, stage.num_rows).items()) for stage in stages)
    return _order_prefix(counts, num_rows)


@functools.lru_cache(maxsize=1024)
def _order_prefix(stages: tuple[tuple[tuple[str, int], ...], ...], num_rows: int) -> OrderPrefix:
    names = sorted({source for counts in stages for source, _ in counts})
    source_at = merge([dict(counts) for counts in stages], names, num_rows)
    totals = _totals(stages, names, source_at)
    present = np.flatnonzero(totals)
    rows = {names[index]: int(totals[index]) for index in present}
    hasher = hashlib.sha256(json.dumps(list(rows)).encode())
    if len(present) == len(names):
        hasher.update(source_at.data)
    else:
        index_among_present = (np.cumsum(totals > 0) - 1).astype(np.uint8)
        for start in range(0, num_rows, _CHUNK):
            hasher.update(index_among_present[source_at[start : start + _CHUNK]].data)
    return OrderPrefix(rows, hasher.hexdigest())


def _totals(
    stages: Sequence[Sequence[tuple[str, int]]], names: Sequence[str], source_at: np.ndarray
) -> np.ndarray:
    """Returns how many rows of each source there are; stages that are whole are not counted."""
    totals = np.zeros(len(names), int)
    start = 0
    for counts in stages:
        stop = start + sum(count for _, count in counts)
        if stop <= len(source_at):
            totals[[names.index(source) for source, _ in counts]] += [count for _, count in counts]
        else:
            for place in range(start, len(source_at), _CHUNK):
                chunk = source_at[place : place + _CHUNK]
                totals += np.bincount(chunk, minlength=len(names))
            break
        start = stop
    return totals


def merge(stages: Sequence[Mapping[str, int]], sources: Sequence[str], num_rows: int) -> np.ndarray:
    """Returns the source at each of the first `num_rows` positions: [num_rows] uint8.

    stages: per stage, how many rows each source has. sources: names in order, which the result
    indexes; at most 255.
    """
    assert len(sources) < 256, "an index would overflow"
    assert list(sources) == sorted(sources), sources
    assert sum(sum(counts.values()) for counts in stages) < 2**32, "positions would overflow"
    source_at = np.empty(num_rows, np.uint8)
    start = 0
    for counts in stages:
        stop = min(start + sum(counts.values()), num_rows)
        _place([counts.get(source, 0) for source in sources], source_at[start:stop])
        start = stop
    assert start == num_rows, (start, num_rows)
    return source_at


def _place(counts: Sequence[int], source_at: np.ndarray) -> None:
    """Fills `source_at` with the beginning of the merged order; see the position formula above."""
    num_rows, length = sum(counts), len(source_at)
    largest = int(np.argmax(counts))
    source_at[:] = largest  # where no other source is
    for s, num_s in enumerate(counts):
        if s == largest:
            continue
        # By the bound on prefixes, at most this many rows of s are among the first `length`.
        num_placed = min(num_s, num_s * length // num_rows + len(counts) // 2 + 2)
        for start in range(0, num_placed, _CHUNK):
            position = np.arange(start, min(start + _CHUNK, num_placed), dtype=np.int64)
            odd = 2 * position + 1
            for t, num_t in enumerate(counts):
                if t != s and num_t > 0:
                    earlier = odd * num_t
                    earlier += num_s - (t > s)
                    earlier //= 2 * num_s
                    position += earlier
            source_at[position if length == num_rows else position[position < length]] = s
