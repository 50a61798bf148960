"""Which source and which row stands at every position of a phase: a pure function of the config.

A phase is a run of *stages*, each with constant weights. In a stage of N rows, source s gets
n_s rows by Hamilton apportionment of the weights w_s (normalized to sum to one), and its row k is
due at time (k + ½)/n_s. The plan is all rows sorted by due time, ties by source name.

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
(2l+1)·n_s < (2k+1)·n_t, or equal and t before s by name; counting such l gives the position

    k + Σ_{t before s} ⌊((2k+1)·n_t + n_s) / 2n_s⌋ + Σ_{t after s} ⌊((2k+1)·n_t + n_s − 1) / 2n_s⌋,

exact in 64-bit integers for N < 2³², with no sort and the same on every platform.

**Which row.** The k-th row that the study path draws from a source (its *ordinal*) lies in epoch
⌊ordinal / rows held⌋ and is there record `permute(ordinal mod rows held)`, keyed by seed, source
and epoch: a source's order does not depend on the mixture it is in.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from codepretrain.errors import UserError
from codepretrain.stream.permutation import epoch_key, permute

# Counts per source are kept at every so many positions; the rest of a prefix is counted at need.
_BLOCK = 65_536
_CHUNK = 1 << 18


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
    below that only if its fractional part is among the largest. Where it would get none, the
    mixture is refused: a source that is asked for is never silently left out.

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
                "the weight or leave the source out"
            )
    return counts


@dataclass(frozen=True)
class MixtureStage:
    """A stretch of `num_rows` rows with constant weights; a source of weight 0 gets no row."""

    num_rows: int
    weights: Mapping[str, float]


class OrderedRows(NamedTuple):
    """What stands at a range of n positions, in order."""

    source_index: np.ndarray  # [n] int64 into RowOrder.sources
    ordinal: np.ndarray  # [n] int64 rows of the source drawn before this one on the study path
    epoch: np.ndarray  # [n] int64
    record: np.ndarray  # [n] int64 record number in the source's rows


@dataclass(frozen=True, eq=False)
class RowOrder:
    """The rows of one phase in order. Batch t is positions [t · batch_size, (t + 1) · batch_size).

    `sources` are in name order. `start_ordinals` is how many rows of each source the study path had
    drawn before this phase, `rows_available` how many rows each source holds.
    """

    sources: tuple[str, ...]
    stages: tuple[MixtureStage, ...]
    batch_size: int
    seed: int
    start_ordinals: Mapping[str, int]
    rows_available: Mapping[str, int]
    source_at: np.ndarray = field(repr=False)  # [num_rows] uint8 index into `sources`
    block_counts: np.ndarray = field(repr=False)  # rows per source before each multiple of _BLOCK

    @classmethod
    def build(
        cls,
        stages: Sequence[MixtureStage],
        *,
        batch_size: int,
        start_ordinals: Mapping[str, int],
        seed: int,
        rows_available: Mapping[str, int],
    ) -> "RowOrder":
        """Returns the plan of a phase; `stages` are together a whole number of batches.

        A source named only in `start_ordinals` is carried along without rows, so that the phases
        after this one know where it stands; one absent from it starts at 0.

        Raises:
          UserError: a mixture that `apportion` refuses, or a source that holds no rows.
        """
        names = {source for stage in stages for source in stage.weights}
        sources = tuple(sorted(names | set(start_ordinals)))
        num_rows = sum(stage.num_rows for stage in stages)
        assert num_rows % batch_size == 0, "a phase is a whole number of batches"
        assert num_rows < 2**32, "positions would overflow"
        assert len(sources) < 256, "source_at would overflow"
        if empty := [source for source in sources if not rows_available.get(source)]:
            raise UserError(
                f"source {empty[0]!r} holds no rows: prepare it, or leave it out of the mixture"
            )
        source_at = np.empty(num_rows, np.uint8)
        start = 0
        for stage in stages:
            counts = apportion(stage.weights, stage.num_rows)
            stretch = source_at[start : start + stage.num_rows]
            _place([counts.get(source, 0) for source in sources], stretch)
            start += stage.num_rows
        return cls(
            sources=sources,
            stages=tuple(stages),
            batch_size=batch_size,
            seed=seed,
            start_ordinals={source: start_ordinals.get(source, 0) for source in sources},
            rows_available={source: rows_available[source] for source in sources},
            source_at=source_at,
            block_counts=_count_blocks(source_at, len(sources)),
        )

    @property
    def num_rows(self) -> int:
        return len(self.source_at)

    @property
    def num_steps(self) -> int:
        return self.num_rows // self.batch_size

    def rows(self, start: int, stop: int) -> OrderedRows:
        """Returns what stands at positions [start, stop)."""
        assert 0 <= start <= stop <= self.num_rows, (start, stop, self.num_rows)
        source_index = self.source_at[start:stop].astype(np.int64)
        ordinal = np.empty_like(source_index)
        epoch = np.empty_like(source_index)
        record = np.empty_like(source_index)
        drawn = self.ordinals_at(start)
        for index, source in enumerate(self.sources):
            here = np.flatnonzero(source_index == index)
            if here.size == 0:
                continue
            first = drawn[source]
            ordinal[here] = np.arange(first, first + here.size)
            epoch[here], record[here] = self.locate(source, first, first + here.size)
        return OrderedRows(source_index, ordinal, epoch, record)

    def batch(self, step: int) -> OrderedRows:
        """Returns the rows of batch `step`, in order."""
        return self.rows(step * self.batch_size, (step + 1) * self.batch_size)

    def locate(self, source: str, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns epoch and record, each [stop − start] int64, of ordinals [start, stop)."""
        num_rows = self.rows_available[source]
        epoch, index = np.divmod(np.arange(start, stop, dtype=np.int64), num_rows)
        record = np.empty_like(index)
        for number in range(start // num_rows, -(-stop // num_rows)):
            first = max(number * num_rows, start) - start
            last = min((number + 1) * num_rows, stop) - start
            key = epoch_key(self.seed, source, number)
            record[first:last] = permute(index[first:last], num_rows=num_rows, key=key)
        return epoch, record

    def counts(self, num_rows: int) -> dict[str, int]:
        """Returns how many of the first `num_rows` rows come from each source."""
        assert 0 <= num_rows <= self.num_rows, (num_rows, self.num_rows)
        block = num_rows // _BLOCK
        rest = self.source_at[block * _BLOCK : num_rows]
        totals = self.block_counts[block] + np.bincount(rest, minlength=len(self.sources))
        return dict(zip(self.sources, totals.tolist(), strict=True))

    def ordinals_at(self, num_rows: int) -> dict[str, int]:
        """Returns where each source's cursor stands after the first `num_rows` rows."""
        counts = self.counts(num_rows)
        return {source: start + counts[source] for source, start in self.start_ordinals.items()}

    def requested(self, num_rows: int) -> dict[str, Fraction]:
        """Returns the rows that the weights ask for of the first `num_rows`: Σ w_s · length."""
        totals = dict.fromkeys(self.sources, Fraction(0))
        start = 0
        for stage in self.stages:
            length = max(0, min(stage.num_rows, num_rows - start))
            for source, share in shares(stage.weights).items():
                totals[source] += share * length
            start += stage.num_rows
        return totals


def _place(counts: Sequence[int], source_at: np.ndarray) -> None:
    """Fills `source_at` with the merged order of one stage; see the position formula above."""
    for s, num_s in enumerate(counts):
        for start in range(0, num_s, _CHUNK):
            k = np.arange(start, min(start + _CHUNK, num_s), dtype=np.int64)
            position = k.copy()
            for t, num_t in enumerate(counts):
                if t != s and num_t > 0:
                    position += ((2 * k + 1) * num_t + (num_s - (t > s))) // (2 * num_s)
            source_at[position] = s


def _count_blocks(source_at: np.ndarray, num_sources: int) -> np.ndarray:
    """Returns [blocks + 1, sources] int64: rows of each source before each multiple of _BLOCK."""
    starts = range(0, len(source_at) - _BLOCK + 1, _BLOCK)
    counts = np.zeros((len(starts) + 1, num_sources), np.int64)
    for number, start in enumerate(starts, 1):
        counts[number] = np.bincount(source_at[start : start + _BLOCK], minlength=num_sources)
    return counts.cumsum(axis=0)
