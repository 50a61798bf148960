import pytest

from codepretrain.model.attention_kernels import AttentionKernel
from tests.model.kernels.comparison import assert_equals_the_reference, lower_gradients_for_gpu


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_equals_the_reference(dtype):
    assert_equals_the_reference(AttentionKernel("pallas_gpu", interpret=True), dtype)


@pytest.mark.parametrize("blocks", [(64, 128), (128, 32), (256, 64)])
def test_blocks_of_queries_and_of_keys_may_differ(blocks):
    """The backward kernels too; 256 divides no multiple of 128 but the even ones."""
    block_q, block_kv = blocks
    kernel = AttentionKernel("pallas_gpu", block_q, block_kv, interpret=True)
    assert_equals_the_reference(kernel, "float32")


@pytest.mark.parametrize("blocks", [(None, None), (64, 128), (128, 32)])
def test_lowers_for_a_gpu(blocks):
    """One forward kernel, and two of the backward pass: Σ d out · out, then the gradients."""
    text = lower_gradients_for_gpu(AttentionKernel("pallas_gpu", *blocks))
    assert text.count("@__gpu$xla.gpu.triton") == 3
