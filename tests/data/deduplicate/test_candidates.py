from pathlib import Path

import numpy as np
import pytest

from codepretrain.data.deduplicate import sketch
from codepretrain.data.deduplicate.candidates import (
    BAND_RECORD,
    band_records,
    candidate_pairs,
    near_duplicates,
)
from codepretrain.data.deduplicate.external_sort import Sorter
from tests.data.deduplicate.corpora import SETTINGS

MEMORY = 2**16


def key(number: int) -> bytes:
    return number.to_bytes(8, "big")


def sorter_of(folder: Path, name: str, rows: list[bytes], *, memory_bytes: int = MEMORY) -> Sorter:
    sorter = Sorter(folder, name, width=len(rows[0]), memory_bytes=memory_bytes)
    sorter.add(np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), -1))
    return sorter


def pairs_of(sorter: Sorter) -> set[tuple[int, int]]:
    rows = [bytes(row) for chunk in sorter.merged() for row in chunk]
    return {(int.from_bytes(r[:8], "big"), int.from_bytes(r[8:], "big")) for r in rows}


@pytest.mark.parametrize("memory_bytes", [1, 3 * 16 * 2, MEMORY])
def test_texts_of_a_band_are_paired_with_the_smallest_and_the_previous_one(
    tmp_path: Path, memory_bytes: int
) -> None:
    bands = {
        b"band 1..": [5, 3, 9, 7, 3],
        b"band 2..": [1, 2],
        b"band 3..": [4],
        b"band 4..": [2, 1],
    }
    rows = [name + key(number) for name, numbers in bands.items() for number in numbers]
    sorter = sorter_of(tmp_path, "bands", rows, memory_bytes=memory_bytes)
    pairs = candidate_pairs(sorter, tmp_path, memory_bytes=memory_bytes)
    assert pairs_of(pairs) == {(5, 3), (7, 3), (9, 3), (7, 5), (9, 7), (2, 1)}


def test_a_record_for_each_band_of_a_text() -> None:
    made = sketch([(7, "some words of a text"), (8, "others")], SETTINGS)
    rows = band_records(made, SETTINGS)
    assert rows.shape == (84, BAND_RECORD)
    for band, row in enumerate(rows[:42]):
        assert bytes(row[:8]) == bytes(made[0, 264 + 8 * band : 272 + 8 * band])
    assert {bytes(row[8:]) for row in rows[:42]} == {key(7)}
    assert {bytes(row[8:]) for row in rows[42:]} == {key(8)}


def test_at_least_180_of_256_bytes_are_equal(tmp_path: Path) -> None:
    base = np.arange(256, dtype=np.uint8)
    signatures = {1: base}
    for number, num_equal in ((2, 180), (3, 179), (4, 256), (5, 0)):
        changed = base.copy()
        changed[: 256 - num_equal] += np.uint8(1)
        signatures[number] = changed
    rows = [key(number) + row.tobytes() for number, row in signatures.items()]
    pairs = [key(number) + key(1) for number in (2, 3, 4, 5)]
    found, num_compared = near_duplicates(
        sorter_of(tmp_path, "pairs", pairs),
        sorter_of(tmp_path, "signatures", rows),
        tmp_path,
        min_equal=180,
        memory_bytes=MEMORY,
    )
    assert pairs_of(found) == {(2, 1), (4, 1)}
    assert num_compared == 4
