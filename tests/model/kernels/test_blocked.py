import jax
import jax.numpy as jnp
import pytest

from codepretrain.model.attention_kernels import AttentionKernel
from codepretrain.podplan.hlo import parse
from codepretrain.podplan.hlo_cost import compiled_flops
from tests.model.kernels.comparison import assert_equals_the_reference


@pytest.mark.parametrize("block_q", [None, 37, 200, 300])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_blocks_of_queries_equal_the_reference(block_q, dtype):
    """T 200 in blocks of 64, 37 and whole: output and gradients."""
    assert_equals_the_reference(AttentionKernel("blocked", block_q=block_q), dtype)


@pytest.mark.parametrize(("T", "share"), [(256, 5 / 8), (1024, 9 / 16), (40, 1)])
def test_blocks_compute_no_scores_of_later_keys(T, share):
    query = jax.ShapeDtypeStruct((1, T, 2, 16), jnp.float32)
    ids = jax.ShapeDtypeStruct((1, T), jnp.int32)
    lowered = jax.jit(AttentionKernel("blocked")).lower(query, query, query, ids)
    products = compiled_flops(parse(lowered.compile().as_text() or ""))
    assert products == share * 2 * 2 * 2 * 16 * T * T
