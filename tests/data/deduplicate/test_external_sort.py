from pathlib import Path

import numpy as np
import pytest

from codepretrain.data.deduplicate import external_sort
from codepretrain.data.deduplicate.external_sort import (
    Sorter,
    as_keys,
    as_records,
    with_group_starts,
)


def rows(sorter: Sorter) -> list[bytes]:
    return [bytes(row) for chunk in sorter.merged() for row in chunk]


@pytest.mark.parametrize("capacity", [5, 30, 1000])
@pytest.mark.parametrize("values", [2, 256])
def test_sorted_and_distinct_whatever_the_memory(
    tmp_path: Path, capacity: int, values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(external_sort, "_FAN_IN", 5)
    rng = np.random.default_rng(0)
    # Zero bytes at the end, which numpy leaves out of byte strings, count as well.
    records = rng.integers(0, values, (300, 3), dtype=np.uint8)
    sorter = Sorter(tmp_path, "a", width=3, memory_bytes=9 * capacity)
    for part in np.array_split(records, 13):
        sorter.add(part)
    assert sorter.num_records == 300
    expected = sorted({bytes(row) for row in records})
    assert rows(sorter) == expected
    assert rows(sorter) == expected, "as often as wanted"
    assert max(len(chunk) for chunk in sorter.merged()) <= capacity
    sorter.remove()
    assert not any(tmp_path.iterdir())


def test_nothing(tmp_path: Path) -> None:
    sorter = Sorter(tmp_path, "a", width=3, memory_bytes=100)
    sorter.add(np.empty((0, 3), np.uint8))
    assert rows(sorter) == []


def test_keys_and_records() -> None:
    records = np.array([[1, 0, 0], [0, 0, 0], [255, 1, 0]], np.uint8)
    assert (as_records(as_keys(records)) == records).all()
    assert np.argsort(as_keys(records)).tolist() == [1, 0, 2]


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_a_group_that_goes_on_in_the_next_chunk_keeps_its_first_record(size: int) -> None:
    records = np.array([[1, 1], [1, 2], [1, 3], [1, 4], [2, 5], [3, 6], [3, 7]], np.uint8)
    chunks = [records[i : i + size] for i in range(0, len(records), size)]
    firsts, previous = set(), set()
    for part, starts in with_group_starts(chunks, 1):
        for number, row in enumerate(part.tolist()):
            firsts.add((row[1], part[starts[number]].tolist()[1]))
            if number > starts[number]:
                previous.add((row[1], part[number - 1].tolist()[1]))
    assert firsts == {(1, 1), (2, 1), (3, 1), (4, 1), (5, 5), (6, 6), (7, 6)}
    assert previous >= {(2, 1), (3, 2), (4, 3), (7, 6)}
