import numpy as np

from codepretrain.rows.format import Row
from codepretrain.stream.batch import batch_from_rows


def row(tokens, lengths):
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    zeros = np.zeros(len(lengths), np.int64)
    return Row(
        tokens=np.array(tokens, np.int32),
        segment_starts=starts.astype(np.int32),
        segment_lengths=np.array(lengths, np.int32),
        documents=np.arange(len(lengths), dtype=np.int64),
        document_offsets=zeros,
        segment_bytes=zeros,
    )


# fmt: off
PADDED = row([1, 5, 6, 2, 1, 7, 2, 0, 0], [4, 3])
FULL   = row([8, 9, 2, 1, 5, 5, 5, 2, 1], [3, 5, 1])  # ends on another document's first token


def test_two_pieces_and_padding():
    batch = batch_from_rows([PADDED], mask_documents=True)
    np.testing.assert_array_equal(batch.inputs,       [[1, 5, 6, 2, 1, 7, 2, 0]])
    np.testing.assert_array_equal(batch.targets,      [[5, 6, 2, 1, 7, 2, 0, 0]])
    np.testing.assert_array_equal(batch.loss_weights, [[1, 1, 1, 0, 1, 1, 0, 0]])
    np.testing.assert_array_equal(batch.positions,    [[0, 1, 2, 3, 0, 1, 2, 0]])
    np.testing.assert_array_equal(batch.segment_ids,  [[1, 1, 1, 1, 2, 2, 2, 0]])


def test_a_piece_of_one_token_at_the_rows_end_is_only_a_target_without_weight():
    batch = batch_from_rows([FULL], mask_documents=True)
    np.testing.assert_array_equal(batch.targets,      [[9, 2, 1, 5, 5, 5, 2, 1]])
    np.testing.assert_array_equal(batch.loss_weights, [[1, 1, 0, 1, 1, 1, 1, 0]])
    np.testing.assert_array_equal(batch.segment_ids,  [[1, 1, 1, 2, 2, 2, 2, 2]])
    np.testing.assert_array_equal(batch.positions,    [[0, 1, 2, 0, 1, 2, 3, 4]])


def test_without_document_masks_the_row_is_one_segment_and_the_loss_is_the_same():
    batch = batch_from_rows([PADDED, FULL], mask_documents=False)
    np.testing.assert_array_equal(batch.segment_ids, [[1, 1, 1, 1, 1, 1, 1, 0],
                                                      [1, 1, 1, 1, 1, 1, 1, 1]])
    np.testing.assert_array_equal(batch.positions,   [[0, 1, 2, 3, 4, 5, 6, 0],
                                                      [0, 1, 2, 3, 4, 5, 6, 7]])
    masked = batch_from_rows([PADDED, FULL], mask_documents=True)
    np.testing.assert_array_equal(batch.loss_weights, masked.loss_weights)
# fmt: on


def test_dtypes_and_shapes():
    batch = batch_from_rows([PADDED, FULL, PADDED], mask_documents=True)
    assert [str(x.dtype) for x in batch] == ["int32", "int32", "float32", "int32", "int32"]
    assert all(x.shape == (3, 8) and x.flags.c_contiguous for x in batch)


def test_the_weights_count_every_rows_targets():
    batch = batch_from_rows([PADDED, FULL], mask_documents=True)
    np.testing.assert_array_equal(batch.loss_weights.sum(1), [PADDED.num_targets, FULL.num_targets])
