import random
from pathlib import Path

import pytest

from codepretrain.errors import UserError
from codepretrain.files.sorted_records import sorted_records


def test_records_come_in_the_order_of_their_keys(tmp_path: Path) -> None:
    keys = [(a, b, c) for a in range(9) for b in (-(2**62), -3, 7) for c in range(5)]
    mixed = random.Random(0).sample(keys, len(keys))
    with sorted_records(tmp_path, "test") as records:
        for key in mixed:
            assert records.add(key, repr(key).encode())
        assert not records.add(mixed[0], b"again")
        assert list(records) == [(key, repr(key).encode()) for key in keys]
        with pytest.raises(ValueError, match="does not fit into 64 bits"):
            records.add((2**63, 0, 0), b"")
    assert not list(tmp_path.iterdir())


def test_a_failure_within_removes_the_folder(tmp_path: Path) -> None:
    def fail() -> None:
        with sorted_records(tmp_path, "test") as records:
            records.add((1, 1, 1), b"x")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_explained(tmp_path: Path) -> None:
    def fill() -> None:
        with sorted_records(tmp_path, "test") as records:
            records._connection.execute("PRAGMA max_page_count=10")
            for number in range(999):
                records.add((number, 0, 0), bytes(5000))

    with pytest.raises(UserError, match=f"cannot write to {tmp_path}: .*full"):
        fill()
