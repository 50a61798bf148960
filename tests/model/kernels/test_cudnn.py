import re

import jax.numpy as jnp
import numpy as np
import pytest

from codepretrain.model.attention_kernels import KERNELS, AttentionKernel
from codepretrain.model.kernels.cudnn import MAX_DOCUMENTS, documents
from tests.model.kernels.comparison import lower_gradients_for_gpu


def test_documents():
    segment_ids = jnp.array([[1, 1, 2, 2, 2, 0, 0], [1] * 7, [1, 2, 3, 3, 4, 5, 6]], jnp.int32)
    lengths, offsets, num_documents = documents(segment_ids, 4)
    np.testing.assert_array_equal(lengths[:2], [[2, 3, 2, -1], [7, -1, -1, -1]])
    np.testing.assert_array_equal(offsets[:2], [[0, 2, 5, 7, -1], [0, 7, -1, -1, -1]])
    np.testing.assert_array_equal(num_documents, [3, 1, 6])  # the last has too many


def calls_of_cudnn(text):
    """Returns name and settings of every call of cuDNN in StableHLO."""
    return re.findall(r'@(__cudnn\$\w+)\(.*?backend_config = "(.*?)"[,}] ', text)


@pytest.mark.usefixtures("cudnn_traces")
def test_lowers_for_a_gpu():
    """One forward and one backward call of cuDNN; as often Pallas, for rows of many documents."""
    text = lower_gradients_for_gpu(AttentionKernel("cudnn"))
    assert [name for name, _ in calls_of_cudnn(text)] == [
        "__cudnn$fmhaSoftmax",
        "__cudnn$fmhaSoftmaxBackward",
    ]
    assert text.count("@__gpu$xla.gpu.triton") == 3


@pytest.mark.usefixtures("cudnn_traces")
def test_calls_cudnn_as_the_librarys_own_gradient_does():
    from jax._src.cudnn import fused_attention_stablehlo as library

    def librarys_own(query, key, value, segment_ids):
        lengths, offsets, _ = documents(segment_ids, MAX_DOCUMENTS)
        return library.dot_product_attention(
            query,
            key,
            value,
            q_seqlen=lengths,
            kv_seqlen=lengths,
            q_offsets=offsets,
            kv_offsets=offsets,
            scale=query.shape[-1] ** -0.5,
            mask_type=library.MaskType.PADDING_CAUSAL,
        )

    expected = calls_of_cudnn(lower_gradients_for_gpu(librarys_own))
    assert len(expected) == 2
    assert calls_of_cudnn(lower_gradients_for_gpu(AttentionKernel("cudnn"))) == expected


def test_the_table_says_how_many_documents_it_keeps_apart():
    assert f"at most {MAX_DOCUMENTS} documents of a row" in KERNELS["cudnn"].limits
    assert "pallas_gpu" in KERNELS["cudnn"].limits
