import hashlib
from pathlib import Path

import pytest

from codepretrain.errors import UserError
from codepretrain.rows.part import check_part, load_part, merkle_root, part_name
from tests.data.packing.test_write_part import write


def test_the_root_is_a_hash_of_the_parts_hashes_in_order() -> None:
    one, two = (hashlib.sha256(content) for content in (b"1", b"2"))
    expected = hashlib.sha256(one.digest() + two.digest()).hexdigest()
    assert merkle_root([one.hexdigest(), two.hexdigest()]) == expected
    assert merkle_root([two.hexdigest(), one.hexdigest()]) != expected


def test_names_sort_as_numbers_do() -> None:
    assert [part_name(number) for number in (0, 7, 12_345)] == [
        "part-00000",
        "part-00007",
        "part-12345",
    ]


def test_a_part_is_checked_against_its_task(tmp_path: Path) -> None:
    part = write(tmp_path, [6, 7])
    directory = tmp_path / "part-00000"
    assert load_part(directory) == part
    check_part(directory, part, {"number": 0, "num_documents": 2, "num_bytes": 9})
    with pytest.raises(UserError, match=rf"{directory}/part.json: num_bytes is 9, expected 8; del"):
        check_part(directory, part, {"num_bytes": 8})


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    write(tmp_path, [6, 7])
    path = tmp_path / "part-00000" / "rows.records"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"damaged .*part-00000: rows.records has \d+ bytes, exp"):
        load_part(tmp_path / "part-00000")
