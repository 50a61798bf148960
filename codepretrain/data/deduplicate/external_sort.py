"""Sorts records of a fixed width that do not fit into memory, in runs on disk.

A record is a row of bytes. Records are compared byte by byte: numbers in them are big-endian. Runs
are sorted in memory and written; merging reads a chunk of each run at a time.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from codepretrain.files.atomic import write_bytes
from codepretrain.files.storage import StrPath, read_range, remove

_FAN_IN = 64  # runs merged at once; more runs are first merged into fewer


@dataclass
class Run:
    """A sorted sequence of records in files: names and numbers of records."""

    parts: list[tuple[str, int]] = field(default_factory=list)


class Sorter:
    """Takes records in any order, and gives them back sorted, as often as wanted."""

    def __init__(self, folder: StrPath, name: str, *, width: int, memory_bytes: int) -> None:
        """Prepares to write runs `<folder>/<name>-<number>`.

        Args:
          width: bytes of a record.
          memory_bytes: of records held before they are sorted and written, and while merging.
        """
        self.width = width
        self.num_records = 0
        self._prefix = os.path.join(folder, name)
        self._capacity = max(1, memory_bytes // (3 * width))  # sorting copies, merging as well
        self._waiting: list[np.ndarray] = []
        self._num_waiting = 0
        self._num_files = 0
        self._runs: list[Run] = []

    def add(self, records: np.ndarray) -> None:
        """Takes records: [records, width] uint8."""
        assert records.dtype == np.uint8
        assert records.shape[1:] == (self.width,), (records.shape, self.width)
        self.num_records += len(records)
        while len(records):
            taken = records[: self._capacity - self._num_waiting]
            self._waiting.append(taken)
            self._num_waiting += len(taken)
            records = records[len(taken) :]
            if self._num_waiting == self._capacity:
                self._write_run()

    def merged(self) -> Iterator[np.ndarray]:
        """Yields all distinct records in order, in chunks [records, width] uint8."""
        if self._num_waiting:
            self._write_run()
        while len(self._runs) > _FAN_IN:
            self._runs = [
                self._merge_runs(self._runs[i : i + _FAN_IN])
                for i in range(0, len(self._runs), _FAN_IN)
            ]
        yield from self._merge(self._runs)

    def remove(self) -> None:
        """Removes the files."""
        for run in self._runs:
            _remove(run)
        self._runs = []

    def _write_run(self) -> None:
        records = np.sort(as_keys(np.concatenate(self._waiting)))
        self._waiting, self._num_waiting = [], 0
        self._runs.append(Run([self._write(records)]))

    def _write(self, keys: np.ndarray) -> tuple[str, int]:
        name = f"{self._prefix}-{self._num_files:06}"
        self._num_files += 1
        write_bytes(name, keys.tobytes())
        return name, len(keys)

    def _merge_runs(self, runs: list[Run]) -> Run:
        merged = Run()
        waiting: list[np.ndarray] = []
        for chunk in self._merge(runs):
            waiting.append(as_keys(chunk))
            if sum(map(len, waiting)) >= self._capacity:
                merged.parts.append(self._write(np.concatenate(waiting)))
                waiting = []
        if waiting:
            merged.parts.append(self._write(np.concatenate(waiting)))
        for run in runs:
            _remove(run)
        return merged

    def _merge(self, runs: list[Run]) -> Iterator[np.ndarray]:
        chunk = max(1, self._capacity // max(1, len(runs)))
        heads = [_Head(run, self.width, chunk) for run in runs]
        last = None
        while heads := [head for head in heads if head.fill()]:
            # No run has an unread record below the last one that was read of it.
            bound = min(head.keys[-1] for head in heads)
            keys = np.unique(np.concatenate([head.take(bound) for head in heads]))
            if last is not None and keys[0] == last:
                keys = keys[1:]
            if len(keys):
                last = keys[-1]
                yield as_records(keys)


class _Head:
    """The next records of a run."""

    def __init__(self, run: Run, width: int, chunk: int) -> None:
        self._parts = list(run.parts)
        self._position = 0
        self._width = width
        self._chunk = chunk
        self.keys = np.empty(0, f"S{width}")

    def fill(self) -> bool:
        """Reads on if there is nothing left; returns whether there is something now."""
        if not len(self.keys) and self._parts:
            name, count = self._parts[0]
            stop = min(count, self._position + self._chunk)
            data = read_range(name, self._position * self._width, stop * self._width)
            assert len(data) == (stop - self._position) * self._width, f"{name} was cut"
            self.keys = np.frombuffer(data, f"S{self._width}")
            self._position = stop
            if stop == count:
                self._parts, self._position = self._parts[1:], 0
        return bool(len(self.keys))

    def take(self, bound: bytes) -> np.ndarray:
        count = int(np.searchsorted(self.keys, bound, side="right"))
        taken, self.keys = self.keys[:count], self.keys[count:]
        return taken


def as_keys(records: np.ndarray) -> np.ndarray:
    """Returns rows of bytes as one array of byte strings, which numpy compares byte by byte."""
    return np.ascontiguousarray(records).view(f"S{records.shape[1]}").reshape(len(records))


def as_records(keys: np.ndarray) -> np.ndarray:
    """Returns byte strings as rows of bytes; the inverse of `as_keys`."""
    return np.ascontiguousarray(keys).view(np.uint8).reshape(len(keys), keys.dtype.itemsize)


def with_group_starts(
    chunks: Iterable[np.ndarray], key_width: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields sorted records, and for each one where the group with its key starts in the chunk.

    If a group continues in the next chunk, that chunk begins with the group's first record and its
    last one so far. A record can be compared with both; they are yielded twice.

    Args:
      chunks: sorted records, [records, width] uint8.
      key_width: bytes at the beginning of a record that are equal within a group.
    """
    carried = None
    for chunk in chunks:
        records = chunk if carried is None else np.concatenate((carried, chunk))
        keys = as_keys(records[:, :key_width])
        begins = np.concatenate(([True], keys[1:] != keys[:-1]))
        starts = np.maximum.accumulate(np.where(begins, np.arange(len(keys)), 0))
        yield records, starts
        carried = records[[starts[-1], -1]]


def _remove(run: Run) -> None:
    for name, _ in run.parts:
        remove(name)
