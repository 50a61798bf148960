import numpy as np
import pytest

from codepretrain.config.schema import DataConfig, SourceConfig
from codepretrain.data.write_rows import MadeFrom, TokenizedDocument, write_rows
from codepretrain.errors import UserError
from codepretrain.rows.manifest import load_manifest
from codepretrain.rows.store import RowStore

NUM_BYTES = np.array([0, 0, 0, 1, 2], np.int32)


def write(directory, lengths: list[int], *, packing: str = "best_fit", lost: int = 0):
    config = DataConfig(
        sources={"s": SourceConfig(reader="folder", kind="text")},
        max_seq_len=8,
        packing=packing,
        rows_per_shard=2,
    )
    documents = [
        TokenizedDocument(
            provenance={"id": str(number), "num_bytes": n - 2 + lost},
            tokens=np.array([1, *[3] * (n - 2), 2], np.int32),
        )
        for number, n in enumerate(lengths)
    ]
    return write_rows(
        directory,
        documents,
        source="s",
        split="train",
        config=config,
        num_bytes=NUM_BYTES,
        made_from=MadeFrom(
            settings_hash="h", documents_hash="d", tokenizer_hash="t", vocabulary_hash="v"
        ),
    )


@pytest.mark.parametrize(
    ("packing", "num_rows", "num_split"), [("best_fit", 4, 1), ("concatenate", 4, 2)]
)
def test_counts_by_hand(tmp_path, packing, num_rows, num_split) -> None:
    # best_fit: 9 of d2 | d0 whole, d3 whole (6 + 3) | 8 of d1 … | 5 left of d2 …
    manifest = write(tmp_path / "rows", [6, 7, 13, 3], packing=packing)
    assert (manifest.num_documents, manifest.num_bytes) == (4, 21)
    assert (manifest.num_tokens, manifest.num_target_tokens) == (29, 25)
    assert (manifest.num_rows, manifest.num_split_documents) == (num_rows, num_split)
    assert manifest.num_padding == 8 * num_rows - 25
    assert manifest.efficiency == 25 / (8 * num_rows)
    assert [shard.num_records for shard in manifest.row_shards] == [2, 2]
    assert load_manifest(tmp_path / "rows", source="s", split="train") == manifest


def test_rows_hash_sees_contents_and_not_files(tmp_path) -> None:
    one, two = write(tmp_path / "a", [6, 7, 13]), write(tmp_path / "b", [6, 7, 13])
    assert one == two
    assert write(tmp_path / "c", [6, 7, 12]).rows_sha256 != one.rows_sha256


def test_provenance_is_kept_with_token_counts(tmp_path) -> None:
    write(tmp_path / "rows", [6, 7])
    store = RowStore(tmp_path / "rows", source="s", split="train")
    assert store.document(1) == {"id": "1", "num_bytes": 5, "num_tokens": 7}
    assert store.stats.tolist() == [[1, 4, 5], [1, 5, 6]]


def test_a_tokenizer_that_loses_text_is_refused(tmp_path) -> None:
    with pytest.raises(UserError, match=r"not lossless: its tokens of document '0' represent"):
        write(tmp_path / "rows", [6], lost=1)
    assert not (tmp_path / "rows").exists()
