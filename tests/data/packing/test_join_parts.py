import numpy as np
import pytest

from codepretrain.errors import UserError
from codepretrain.files.storage import remove_tree
from codepretrain.rows.format import decode_row
from codepretrain.rows.manifest import has_rows
from codepretrain.rows.store import RowStore
from tests.data.packing.test_write_part import join, write


def test_documents_are_numbered_over_the_parts(tmp_path) -> None:
    """Two documents, none, then three: rows of part 2 hold documents 2 to 4."""
    parts = [
        write(tmp_path, [6, 7], number=0),
        write(tmp_path, number=1),
        write(tmp_path, [5, 4, 8], number=2),
    ]
    manifest = join(tmp_path, *parts)
    assert (manifest.num_documents, manifest.num_rows) == (5, 4)
    store = RowStore(tmp_path, source="s", split="train")
    assert [store[i].documents.tolist() for i in range(4)] == [[1], [0], [4], [2, 3]]
    assert [store.document(i)["num_tokens"] for i in range(5)] == [6, 7, 5, 4, 8]
    assert store.stats.tolist() == [[1, 5, 6], [1, 4, 5], [1, 6, 7], [2, 5, 7]]
    local = decode_row((tmp_path / "part-00002" / "rows.records").read_bytes()[: 17 + 20 + 16])
    assert local.documents.tolist() == [2], "within the part"


def test_no_documents(tmp_path) -> None:
    manifest = join(tmp_path)
    assert (manifest.num_rows, manifest.parts) == (0, ())
    assert RowStore(tmp_path, source="s", split="train").stats.shape == (0, 3)


def test_a_missing_or_damaged_part_is_named_and_nothing_is_whole(tmp_path) -> None:
    parts = [write(tmp_path, [6, 7], number=number) for number in range(2)]
    stats = tmp_path / "part-00001" / "row_stats.npy"
    whole = stats.read_bytes()
    stats.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(UserError, match=r"damaged .*part-00001: row_stats.npy was altered"):
        join(tmp_path, *parts)
    remove_tree(tmp_path / "part-00001")
    with pytest.raises(UserError, match=r"no part of rows at .*part-00001: run"):
        join(tmp_path, *parts)
    assert not has_rows(tmp_path)
    write(tmp_path, [6, 7], number=1)
    join(tmp_path, *parts)
    assert has_rows(tmp_path)


def test_the_merged_files_are_those_that_numpy_writes(tmp_path) -> None:
    parts = [write(tmp_path, [6, 7], number=number) for number in range(2)]
    join(tmp_path, *parts)
    for name in ("rows.index.npy", "documents.index.npy", "row_stats.npy"):
        expected = np.concatenate([np.load(tmp_path / f"part-0000{n}" / name) for n in range(2)])
        np.save(tmp_path / "expected.npy", expected)
        assert (tmp_path / name).read_bytes() == (tmp_path / "expected.npy").read_bytes()
