import dataclasses

import numpy as np
import pytest

from codepretrain.rows.format import Row, decode_row, encode_row


def make_row() -> Row:
    #  document 7 whole: bos a b eos; document 9, second segment, 3 tokens; two of padding
    return Row(
        tokens=np.array([1, 10, 11, 2, 40, 41, 2, 0, 0], np.int32),
        segment_starts=np.array([0, 4], np.int32),
        segment_lengths=np.array([4, 3], np.int32),
        documents=np.array([7, 9], np.int64),
        document_offsets=np.array([0, 8], np.int64),
        segment_bytes=np.array([5, 3], np.int64),
    )


SIZES = [300, 1 << 16, (1 << 16) + 1, 1 << 24, (1 << 24) + 1]


@pytest.mark.parametrize("vocab_size", SIZES)
def test_a_row_survives_encoding(vocab_size: int) -> None:
    row = make_row()
    row.tokens[1] = vocab_size - 1
    decoded = decode_row(encode_row(row, vocab_size))
    for field in dataclasses.fields(Row):
        expected, got = getattr(row, field.name), getattr(decoded, field.name)
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)


def test_a_token_takes_as_few_bytes_as_the_vocabulary_needs() -> None:
    # header 17 bytes; 2 segments of 4 + 8 + 4 + 4; 7 tokens, padding is not stored
    sizes = [len(encode_row(make_row(), vocab_size)) - 17 - 40 for vocab_size in SIZES]
    assert sizes == [14, 14, 21, 21, 28]


def test_the_bytes_of_a_record_by_hand() -> None:
    record = encode_row(make_row(), 300)
    assert record[:17].hex(" ") == "52 4f 57 03 02 09 00 00 00 07 00 00 00 02 00 00 00"
    assert record[17:25].hex() == "0400000003000000"  # lengths
    assert record[25:41].hex() == "07000000000000000900000000000000"  # documents
    assert record[41:49].hex() == "0000000008000000"  # document offsets
    assert record[49:57].hex() == "0500000003000000"  # bytes
    assert record[57:].hex(" ", 2) == "0100 0a00 0b00 0200 2800 2900 0200"


def test_targets_and_begun_documents() -> None:
    row = make_row()
    assert row.num_targets == 3 + 2
    assert row.num_documents_begun == 1
    # a lone bos at the end of a row begins nothing: its first target is in the next row
    lone = dataclasses.replace(
        row, segment_lengths=np.array([4, 1], np.int32), document_offsets=np.array([0, 0], np.int64)
    )
    assert lone.num_documents_begun == 1


def test_what_is_no_row_is_refused() -> None:
    record = encode_row(make_row(), 300)
    for length in range(len(record)):
        with pytest.raises(ValueError, match="not a row"):
            decode_row(record[:length])
    with pytest.raises(ValueError, match=r"not a row: 72 bytes, expected 71 by its header"):
        decode_row(record + b"\0")
    with pytest.raises(ValueError, match="not a row of format 3: it begins 524f570102"):
        decode_row(record[:3] + b"\x01" + record[4:])
    with pytest.raises(ValueError, match="not a row of format 3: it begins 524f570305"):
        decode_row(record[:4] + b"\x05" + record[5:])
