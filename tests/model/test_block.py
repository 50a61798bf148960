import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from codepretrain.model.attention_kernels import AttentionKernel
from codepretrain.model.block import Block
from codepretrain.model.constrain import unconstrained
from codepretrain.model.rope import rotation


def test_attention_and_mlp_both_read_the_normalized_input(tiny):
    """x + attention(norm(x)) + mlp(norm(x)): the MLP does not see the attention's output."""
    config = tiny()
    block = Block(
        config,
        attention_kernel=AttentionKernel("reference"),
        constrain=unconstrained,
        gradient_dtype="float32",
        rngs=nnx.Rngs(0),
    )
    x = jax.random.normal(jax.random.key(1), (2, 5, config.d_model))
    rope = rotation(jnp.tile(jnp.arange(5), (2, 1)), head_dim=config.head_dim, base=1e4)
    segment_ids = jnp.ones((2, 5), jnp.int32)
    h = block.norm(x)
    attended, expected_present = block.attention(h, rope=rope, segment_ids=segment_ids)
    out, present = block(x, rope=rope, segment_ids=segment_ids)
    np.testing.assert_allclose(out, x + attended + block.mlp(h), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(present.value, expected_present.value)
