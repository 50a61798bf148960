"""The SwiGLU feed-forward layer."""

import functools

import jax
from flax import nnx

from codepretrain.config.schema import ModelConfig
from codepretrain.model.constrain import Constrain
from codepretrain.model.linear import Linear
from codepretrain.model.remat import keep_inputs_only, name_activation


class MLP(nnx.Module):
    """y = down(silu(gate(x)) · up(x)), [B, T, D] to [B, T, D], without biases.

    Source: Shazeer 2020, "GLU Variants Improve Transformer", eq. 6.
    """

    def __init__(
        self, config: ModelConfig, *, constrain: Constrain, gradient_dtype: str, rngs: nnx.Rngs
    ) -> None:
        D, F = (config.d_model,), (config.d_ff,)
        linear = functools.partial(Linear, gradient_dtype=gradient_dtype, rngs=rngs)
        self.gate = linear(D, F, logical_axes=("embed", "mlp"))
        self.up = linear(D, F, logical_axes=("embed", "mlp"))
        self.down = linear(F, D, logical_axes=("mlp", "embed"))
        self.constrain = constrain

    def __call__(self, x: jax.Array) -> jax.Array:
        gate, up = name_activation(self.gate(x), "gate"), name_activation(self.up(x), "up")
        return keep_inputs_only(self._down)(gate, up)

    def _down(self, gate: jax.Array, up: jax.Array) -> jax.Array:
        hidden = jax.nn.silu(gate) * up
        return self.down(self.constrain(hidden, ("batch", "tokens", "mlp")))
