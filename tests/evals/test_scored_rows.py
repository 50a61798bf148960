import numpy as np

from codepretrain.evals.document_sample import sample_documents
from codepretrain.evals.scored_rows import PackedRows, Piece, StoredRows, pieces_of
from codepretrain.rows.format import Row
from tests.evals.test_document_sample import held_out

# One stored row, T = 8: document 0 from its token 4 on, document 1, padding.
STORED = Row(
    tokens=np.array([14, 15, 16, 2, 1, 21, 22, 2, 0], np.int32),
    segment_starts=np.array([0, 4], np.int32),
    segment_lengths=np.array([4, 4], np.int32),
    documents=np.array([0, 1]),
    document_offsets=np.array([4, 0]),
    segment_bytes=np.array([2, 2]),
)
PIECES = [
    Piece("code", 0, 0, ((7, 1, 2),)),  # target 1: token 16
    Piece("code", 0, 1, ((9, 0, 1), (9, 2, 3))),  # targets 0 and 2: tokens 21 and 2
]


def stored(source: str, number: int) -> Row:
    assert (source, number) == ("code", 0)
    return STORED


def test_packed_rows_by_hand() -> None:
    """The longest piece first; the other is cut after its last counted target."""
    rows = PackedRows(PIECES, stored, max_seq_len=8)
    assert len(rows) == 1
    row, spans = rows[0]
    assert row.tokens.tolist() == [1, 21, 22, 2, 14, 15, 16, 0, 0]
    assert row.segment_starts.tolist() == [0, 4]
    assert row.segment_lengths.tolist() == [4, 3]
    assert row.documents.tolist() == [9, 7]
    assert row.document_offsets.tolist() == [0, 4]
    assert spans.tolist() == [[9, 0, 1], [9, 2, 3], [7, 5, 6]]


def test_pieces_that_do_not_fit_together_are_in_rows_of_their_own() -> None:
    rows = PackedRows(PIECES, stored, max_seq_len=5)
    assert [row.segment_lengths.tolist() for row, _ in (rows[0], rows[1])] == [[4], [3]]


def test_stored_rows_by_hand() -> None:
    rows = StoredRows(PIECES, stored)
    assert len(rows) == 1
    row, spans = rows[0]
    assert row is STORED
    assert spans.tolist() == [[7, 1, 2], [9, 4, 5], [9, 6, 7]]


def test_a_piece_goes_into_the_fullest_row_with_room() -> None:
    """Of 9 tokens: 7, 6, then 3 beside the 6 and 2 beside the 7."""
    row = Row(
        tokens=np.arange(9, dtype=np.int32),
        segment_starts=np.array([0], np.int32),
        segment_lengths=np.array([9], np.int32),
        documents=np.array([0]),
        document_offsets=np.array([0]),
        segment_bytes=np.array([8]),
    )
    pieces = [Piece("s", n, 0, ((n, 0, length - 1),)) for n, length in enumerate((2, 6, 3, 7))]
    rows = PackedRows(pieces, lambda source, number: row, max_seq_len=8)
    lengths = [rows[i].row.segment_lengths.tolist() for i in range(len(rows))]
    assert lengths == [[7, 2], [6, 3]]


def test_pieces_number_documents_over_all_sources() -> None:
    samples = {
        "a": sample_documents(held_out([6, 3]), 2, max_tokens=0),
        "b": sample_documents(held_out([2]), 1, max_tokens=0),
    }
    found = [(piece.source, piece.row, piece.spans) for piece in pieces_of(samples)]
    assert found == [
        ("a", 0, ((0, 0, 4),)),
        ("a", 1, ((0, 0, 2),)),
        ("a", 2, ((1, 0, 3),)),
        ("b", 0, ((2, 0, 2),)),
    ]
    assert [piece.length for piece in pieces_of(samples)] == [5, 3, 4, 3]
