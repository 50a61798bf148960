import itertools
from collections.abc import Iterable, Iterator

import numpy as np
import pytest

from codepretrain.data.packing import pack
from codepretrain.data.packing.pack import PACKERS, Tokenized
from codepretrain.rows.format import Row, decode_row, encode_segments, encode_tokens

NUM_BYTES = np.arange(100, dtype=np.int32) % 7


def make_documents(lengths: list[int], seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [np.array([1, *rng.integers(3, 100, n - 2), 2], np.int32) for n in lengths]


def tokenized(documents: Iterable[np.ndarray]) -> Iterator[Tokenized]:
    for ids in documents:
        encoded = memoryview(encode_tokens(ids, 2))
        yield Tokenized(encoded, np.cumsum(NUM_BYTES[ids], dtype=np.int64))


def pack_rows(name: str, documents: Iterable[np.ndarray], max_seq_len: int) -> Iterator[Row]:
    for segments in PACKERS[name](tokenized(documents), max_seq_len):
        yield decode_row(encode_segments(segments, max_seq_len + 1, 2))


def best_fit(documents: Iterable[np.ndarray], max_seq_len: int) -> Iterator[Row]:
    return pack_rows("best_fit", documents, max_seq_len)


def concatenate(documents: Iterable[np.ndarray], max_seq_len: int) -> Iterator[Row]:
    return pack_rows("concatenate", documents, max_seq_len)


def segments(row: Row) -> list[tuple[int, int, int]]:
    columns = (row.documents, row.document_offsets, row.segment_lengths)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_the_drawing_in_the_module() -> None:
    documents = make_documents([6, 3, 13])
    rows = list(concatenate(documents, 8))
    assert [segments(row) for row in rows] == [
        [(0, 0, 6), (1, 0, 3)],
        [(1, 2, 1), (2, 0, 8)],
        [(2, 7, 6)],
    ]
    rows = list(best_fit(documents, 8))
    assert [segments(row) for row in rows] == [[(2, 0, 9)], [(0, 0, 6), (1, 0, 3)], [(2, 8, 5)]]
    assert rows[2].tokens.tolist() == [*documents[2][8:].tolist(), 0, 0, 0, 0]


def test_a_row_that_ends_with_a_document_begins_the_next_with_its_eos() -> None:
    rows = list(concatenate(make_documents([9, 2]), 8))
    assert [segments(row) for row in rows] == [[(0, 0, 9)], [(0, 8, 1), (1, 0, 2)]]
    assert [row.num_documents_begun for row in rows] == [1, 1]
    # and when nothing follows, there is no row without targets
    assert len(list(concatenate(make_documents([9]), 8))) == 1


def test_best_fit_takes_the_longest_piece_that_fits() -> None:
    rows = list(best_fit(make_documents([3, 5, 4, 6, 2, 9]), 8))
    assert [segments(row) for row in rows] == [
        [(5, 0, 9)],
        [(3, 0, 6), (0, 0, 3)],
        [(1, 0, 5), (2, 0, 4)],
        [(4, 0, 2)],
    ]


@pytest.mark.parametrize("name", PACKERS)
@pytest.mark.parametrize("max_seq_len", [1, 2, 3, 8, 31])
@pytest.mark.parametrize("window", [1, 5, 4096])
def test_every_token_but_bos_is_a_target_exactly_once(name, max_seq_len, window, monkeypatch):
    monkeypatch.setattr(pack, "WINDOW", window)
    rng = np.random.default_rng(max_seq_len)
    documents = make_documents([*(2 + rng.geometric(0.1, 60)).tolist(), 9, 17, 2, 33])
    targets = [np.zeros(len(document), int) for document in documents]
    num_bytes = begun = 0
    for row in pack_rows(name, documents, max_seq_len):
        assert row.tokens.shape == (max_seq_len + 1,)
        assert row.num_targets > 0 or max_seq_len == 1  # [eos, bos] is a row of two tokens
        end = row.segment_starts + row.segment_lengths
        assert row.segment_starts.tolist() == [0, *end[:-1].tolist()]
        assert end[-1] <= max_seq_len + 1
        assert not row.tokens[end[-1] :].any()
        for start, (document, offset, length) in zip(
            row.segment_starts, segments(row), strict=True
        ):
            expected = documents[document][offset : offset + length]
            np.testing.assert_array_equal(row.tokens[start : start + length], expected)
            targets[document][offset + 1 : offset + length] += 1
        num_bytes += row.segment_bytes.sum()
        begun += row.num_documents_begun
    for counts in targets:
        assert counts.tolist() == [0] + [1] * (len(counts) - 1)
    assert num_bytes == sum(NUM_BYTES[document].sum() for document in documents) - len(
        documents
    ) * int(NUM_BYTES[1])
    assert begun == len(documents)


def test_best_fit_splits_nothing_that_fits_and_concatenate_pads_only_the_last_row() -> None:
    documents = make_documents([2 + n % 40 for n in range(300)])
    for row in best_fit(documents, 31):
        for document, offset, length in segments(row):
            assert len(documents[document]) > 32 or (offset, length) == (
                0,
                len(documents[document]),
            )
    rows = list(concatenate(documents, 31))
    assert all(row.segment_lengths.sum() == 32 for row in rows[:-1])


def test_packing_streams_in_bounded_memory(monkeypatch) -> None:
    monkeypatch.setattr(pack, "WINDOW", 50)
    read = itertools.count()
    documents = (np.array([1, 5, 2], np.int32) for _ in iter(lambda: next(read), -1))
    rows = best_fit(documents, 8)
    for _ in range(20):
        next(rows)
    assert next(read) <= 50 + 20 * 3 + 1


def test_best_fit_wastes_little() -> None:
    rng = np.random.default_rng(0)
    documents = make_documents((2 + rng.lognormal(4, 1, 3000).astype(int)).tolist())
    rows = list(best_fit(documents, 256))
    filled = sum(int(row.segment_lengths.sum()) for row in rows)
    assert filled / (257 * len(rows)) > 0.99
