import numpy as np
import pytest

from codepretrain.data.packing.join_parts import MadeFrom, join_parts
from codepretrain.data.packing.write_part import Packing, TokenizedBatch, write_part
from codepretrain.errors import UserError
from codepretrain.rows.manifest import RowsManifest, load_manifest
from codepretrain.rows.part import PartManifest, load_part, part_name
from codepretrain.rows.store import RowStore

NUM_BYTES = np.array([0, 0, 0, 1, 2], np.int32)


def batch(lengths: list[int], *, lost: int = 0) -> TokenizedBatch:
    return TokenizedBatch(
        provenance=[{"id": str(i), "num_bytes": n - 2 + lost} for i, n in enumerate(lengths)],
        tokens=[np.array([1, *[3] * (n - 2), 2], np.int32) for n in lengths],
    )


def write(
    directory, *batches: list[int], packing: str = "best_fit", number: int = 0, lost: int = 0
) -> PartManifest:
    how = Packing(identity="i", packing=packing, max_seq_len=8, num_bytes=NUM_BYTES)
    found = [batch(lengths, lost=lost) for lengths in batches]
    return write_part(directory / part_name(number), found, number=number, how=how)


def join(directory, *parts: PartManifest, packing: str = "best_fit") -> RowsManifest:
    made_from = MadeFrom(
        source="s",
        split="train",
        identity="i",
        documents_hash="d",
        tokenizer_hash="t",
        vocabulary_hash="v",
    )
    return join_parts(
        directory, parts, made_from=made_from, packing=packing, max_seq_len=8, vocab_size=5
    )


@pytest.mark.parametrize(
    ("packing", "num_rows", "num_split"), [("best_fit", 4, 1), ("concatenate", 4, 2)]
)
def test_counts_by_hand(tmp_path, packing, num_rows, num_split) -> None:
    # best_fit: 9 of d2 | d0 whole, d3 whole (6 + 3) | 8 of d1 … | 5 left of d2 …
    part = write(tmp_path, [6, 7, 13, 3], packing=packing)
    assert load_part(tmp_path / "part-00000") == part
    manifest = join(tmp_path, part, packing=packing)
    for counts in (part, manifest):
        assert (counts.num_documents, counts.num_bytes, counts.num_tokens) == (4, 21, 29)
        assert (counts.num_rows, counts.num_split_documents) == (num_rows, num_split)
    assert manifest.num_target_tokens == 25
    assert manifest.num_padding == 8 * num_rows - 25
    assert manifest.efficiency == 25 / (8 * num_rows)
    assert load_manifest(tmp_path, source="s", split="train") == manifest


def test_a_part_is_the_same_whatever_its_batches_and_its_number(tmp_path) -> None:
    one = write(tmp_path / "a", [6, 7, 13])
    two = write(tmp_path / "b", [6], [7, 13], number=3)
    assert one.rows_sha256 == two.rows_sha256
    for name in ("rows.records", "rows.index.npy", "row_stats.npy"):
        paths = (tmp_path / "a" / "part-00000" / name, tmp_path / "b" / "part-00003" / name)
        assert paths[0].read_bytes() == paths[1].read_bytes()
    assert write(tmp_path / "c", [6, 7, 12]).rows_sha256 != one.rows_sha256


def test_provenance_is_kept_with_token_counts(tmp_path) -> None:
    join(tmp_path, write(tmp_path, [6, 7]))
    store = RowStore(tmp_path, source="s", split="train")
    assert store.document(1) == {"id": "1", "num_bytes": 5, "num_tokens": 7}
    assert store.stats.tolist() == [[1, 5, 6], [1, 4, 5]]  # the longer document first


def test_a_tokenizer_that_loses_text_is_refused(tmp_path) -> None:
    with pytest.raises(UserError, match=r"not lossless: its tokens of document '0' represent 4 b"):
        write(tmp_path, [6], lost=1)
    assert not (tmp_path / "part-00000").exists()
