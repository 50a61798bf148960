import jax.numpy as jnp
import numpy as np
from flax import nnx

from codepretrain.model.constrain import unconstrained
from codepretrain.model.mlp import MLP


def test_by_hand(tiny):
    """One input x = 2, two hidden units: silu(2·1)·(2·3)·1 + silu(2·(-1))·(2·1)·10."""
    mlp = MLP(
        tiny(d_model=1, d_ff=2), constrain=unconstrained, gradient_dtype="float32", rngs=nnx.Rngs(0)
    )
    mlp.gate.kernel[...] = jnp.array([[1.0, -1.0]])
    mlp.up.kernel[...] = jnp.array([[3.0, 1.0]])
    mlp.down.kernel[...] = jnp.array([[1.0], [10.0]])
    sigmoid = 1 / (1 + np.exp(-2.0))
    expected = 2 * sigmoid * 6 + -2 * (1 - sigmoid) * 2 * 10
    np.testing.assert_allclose(mlp(jnp.array([[[2.0]]])), [[[expected]]], rtol=1e-6)
