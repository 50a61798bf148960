import numpy as np
import pytest

from codepretrain.data.deduplicate.join import join


def chunks(values, size: int) -> list[np.ndarray]:
    array = np.array(values, np.uint8).reshape(-1, 2)
    return [array[i : i + size] for i in range(0, len(array), size)]


@pytest.mark.parametrize("left_size", [1, 2, 100])
@pytest.mark.parametrize("right_size", [1, 3, 100])
def test_every_record_once_with_its_row(left_size: int, right_size: int) -> None:
    records = [[0, 1], [1, 2], [1, 3], [4, 4], [5, 5], [5, 6], [9, 7]]
    table = [[1, 10], [2, 20], [3, 30], [5, 50], [7, 70]]
    found = []
    for left, rows, is_found in join(
        chunks(records, left_size), chunks(table, right_size), 1, row_width=2
    ):
        for record, row, found_one in zip(left.tolist(), rows.tolist(), is_found, strict=True):
            found.append((record[1], row[1] if found_one else None))
    assert found == [(1, None), (2, 10), (3, 10), (4, None), (5, 50), (6, 50), (7, None)]


def test_empty_streams() -> None:
    assert list(join([], chunks([[1, 2]], 1), 1, row_width=2)) == []
    ((left, rows, is_found),) = join(chunks([[1, 2]], 1), [], 1, row_width=2)
    assert left.tolist() == [[1, 2]]
    assert rows.shape == (1, 2)
    assert not is_found.any()
