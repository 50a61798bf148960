"""The row at every position of a phase: a pure function of the config.

`stream/mixture.py` has the source of each position. The k-th row that a source's cursor draws (its
*ordinal*) is in epoch ⌊ordinal / rows held⌋ and is there record `permute(ordinal mod rows held)`,
keyed by seed, source and epoch. So a source's order does not depend on the mixture it is in.

A cursor that restarts begins again at ordinal 0, in epoch 0: it draws the same rows in the same
order as the first time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from codepretrain.errors import UserError
from codepretrain.stream.mixture import MixtureStage, apportion, merge, shares
from codepretrain.stream.permutation import epoch_key, permute

# Counts per source are stored at this interval of positions; the rest is counted on demand.
_BLOCK = 65_536


class OrderedRows(NamedTuple):
    """The rows at a range of n positions, in order."""

    source_index: np.ndarray  # [n] int64 into RowOrder.sources
    ordinal: np.ndarray  # [n] int64 rows of the source that its cursor drew before this one
    epoch: np.ndarray  # [n] int64
    record: np.ndarray  # [n] int64 record number in the source's rows


@dataclass(frozen=True, eq=False)
class RowOrder:
    """The rows of one phase in order. Batch t is positions [t · batch_size, (t + 1) · batch_size).

    sources: in name order. start_ordinals: where each source's cursor is when the phase starts.
    path_rows_before: rows of each source that the study path has drawn before the phase, by this
    cursor or by one that was restarted. rows_available: how many rows each source holds.
    """

    sources: tuple[str, ...]
    stages: tuple[MixtureStage, ...]
    batch_size: int
    seed: int
    start_ordinals: Mapping[str, int]
    path_rows_before: Mapping[str, int]
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
        path_rows_before: Mapping[str, int] | None = None,
    ) -> "RowOrder":
        """Returns the order of a phase; `stages` are together a whole number of batches.

        A source that the phase does not read but the path has read keeps its cursor and counts. A
        source that is in no `start_ordinals` starts at 0.

        Args:
          path_rows_before: None if no cursor of the path was ever restarted.

        Raises:
          UserError: a mixture that `apportion` refuses, or a source that holds no rows.
        """
        before = start_ordinals if path_rows_before is None else path_rows_before
        names = {source for stage in stages for source in stage.weights}
        sources = tuple(sorted(names | set(start_ordinals) | set(before)))
        num_rows = sum(stage.num_rows for stage in stages)
        assert num_rows % batch_size == 0, "a phase is a whole number of batches"
        if empty := [source for source in sources if not rows_available.get(source)]:
            raise UserError(
                f"source {empty[0]!r} holds no rows: prepare it, or remove it from the mixture"
            )
        counts = [apportion(stage.weights, stage.num_rows) for stage in stages]
        source_at = merge(counts, sources, num_rows)
        return cls(
            sources=sources,
            stages=tuple(stages),
            batch_size=batch_size,
            seed=seed,
            start_ordinals={source: start_ordinals.get(source, 0) for source in sources},
            path_rows_before={source: before.get(source, 0) for source in sources},
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
        """Returns the rows at positions [start, stop)."""
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
        """Returns each source's cursor after the first `num_rows` rows."""
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


def _count_blocks(source_at: np.ndarray, num_sources: int) -> np.ndarray:
    """Returns [blocks + 1, sources] int64: rows of each source before each multiple of _BLOCK."""
    starts = range(0, len(source_at) - _BLOCK + 1, _BLOCK)
    counts = np.zeros((len(starts) + 1, num_sources), np.int64)
    for number, start in enumerate(starts, 1):
        counts[number] = np.bincount(source_at[start : start + _BLOCK], minlength=num_sources)
    return counts.cumsum(axis=0)
