import re

import jax.numpy as jnp
import numpy as np
import pytest

from codepretrain.model.attention_kernels import KERNELS, AttentionKernel
from codepretrain.model.kernels.cudnn import (
    CAPACITIES,
    MAX_DOCUMENTS,
    _sequences,
    _variant,
    documents,
)
from tests.model.kernels.comparison import lower_gradients_for_gpu

IDS = jnp.array([[1, 1, 2, 2, 2, 0, 0], [1] * 7, [1, 2, 3, 3, 4, 5, 6]], jnp.int32)


def test_documents():
    lengths, starts = documents(IDS, 6)
    np.testing.assert_array_equal(
        lengths, [[2, 3, 2, -1, -1, -1], [7, *[-1] * 5], [1, 1, 2, 1, 1, 1]]
    )
    np.testing.assert_array_equal(
        starts, [[0, 2, 5, -1, -1, -1, -1], [0, *[-1] * 6], [0, 1, 2, 4, 5, 6, -1]]
    )


def test_the_library_joins_the_rows_into_one_list_of_documents():
    """Document i of the joined list has length i and first element i: no row adds an entry."""
    from jax._src.cudnn import fused_attention_stablehlo as library

    lengths, starts = documents(IDS, 8)
    array = jnp.zeros((3, 7, 2, 5))  # N · H = 10 elements a token
    joined = library._fix_seqlen_offsets(lengths, lengths, starts, starts, array, array)
    lengths, _, starts, _ = (x.reshape(-1) for x in joined)
    np.testing.assert_array_equal(lengths[:10], [2, 3, 2, 7, 1, 1, 2, 1, 1, 1])
    np.testing.assert_array_equal(lengths[10:], 0)
    tokens = [0, 2, 5, 7, 14, 15, 16, 18, 19, 20]
    np.testing.assert_array_equal(starts[:10], 10 * np.array(tokens))
    np.testing.assert_array_equal(starts[10:], 10 * 21)


def test_place_of_each_position_in_the_joined_list():
    sequences, offsets = _sequences(IDS)
    np.testing.assert_array_equal(sequences[:2], [[0, 0, 1, 1, 1, 2, 2], [3] * 7])
    np.testing.assert_array_equal(sequences[2], [4, 5, 6, 6, 7, 8, 9])
    np.testing.assert_array_equal(offsets[:2], [[0, 1, 0, 1, 2, 0, 1], range(7)])
    np.testing.assert_array_equal(offsets[2], [0, 0, 0, 1, 0, 0, 0])


@pytest.mark.parametrize("capacity", [*CAPACITIES, None])
def test_the_smallest_variant_that_suffices(capacity):
    """The fullest row of the batch decides; beyond the largest capacity it is Pallas."""
    most = capacity or MAX_DOCUMENTS + 1
    ids = jnp.stack([jnp.ones(300, jnp.int32), jnp.minimum(jnp.arange(300), most - 1)])
    variants = (*CAPACITIES, None)
    assert variants[_variant(ids)] == capacity
    if capacity:
        fuller = jnp.minimum(jnp.arange(300), most)[None]
        assert variants[_variant(fuller)] == variants[variants.index(capacity) + 1]


def calls_of_cudnn(text):
    """Returns name and settings of every call of cuDNN in StableHLO."""
    return re.findall(r'@(__cudnn\$\w+)\(.*?backend_config = "(.*?)"[,}] ', text)


@pytest.mark.usefixtures("cudnn_traces")
def test_lowers_for_a_gpu():
    """Forward and backward call cuDNN per capacity, and Pallas for rows of more documents."""
    text = lower_gradients_for_gpu(AttentionKernel("cudnn"))
    names = [name for name, _ in calls_of_cudnn(text)]
    assert sorted(names) == ["__cudnn$fmhaSoftmax"] * 4 + ["__cudnn$fmhaSoftmaxBackward"] * 4
    assert text.count("@__gpu$xla.gpu.triton") == 3


@pytest.mark.usefixtures("cudnn_traces")
def test_calls_cudnn_as_the_librarys_own_gradient_does():
    from jax._src.cudnn import fused_attention_stablehlo as library

    def librarys_own(query, key, value, segment_ids):
        lengths, starts = documents(segment_ids, CAPACITIES[0])
        return library.dot_product_attention(
            query,
            key,
            value,
            q_seqlen=lengths,
            kv_seqlen=lengths,
            q_offsets=starts,
            kv_offsets=starts,
            scale=query.shape[-1] ** -0.5,
            mask_type=library.MaskType.PADDING_CAUSAL,
        )

    expected = calls_of_cudnn(lower_gradients_for_gpu(librarys_own, K=4))
    assert len(expected) == 2
    ours = calls_of_cudnn(lower_gradients_for_gpu(AttentionKernel("cudnn"), K=4))
    assert set(expected) <= set(ours)


def test_the_table_says_how_many_documents_it_keeps_apart():
    assert f"at most {MAX_DOCUMENTS} documents of a row" in KERNELS["cudnn"].limits
    assert "pallas_gpu" in KERNELS["cudnn"].limits
