"""The Command-R block: attention and MLP in parallel."""

from typing import Any

import jax
from flax import nnx

from codepretrain.config.schema import ModelConfig
from codepretrain.model.attention import Attention, KeyValue
from codepretrain.model.attention_kernels import AttentionKernel
from codepretrain.model.constrain import Constrain
from codepretrain.model.mlp import MLP
from codepretrain.model.norm import LayerNorm
from codepretrain.model.remat import name_activation
from codepretrain.model.rope import RopeAngles


class Block(nnx.Module):
    """x + attention(h) + mlp(h) with h = norm(x): one norm feeds both branches; [B, T, D].

    Source: Cohere's Command-R (transformers, models/cohere); the parallel form is that of GPT-J
    (Wang & Komatsuzaki 2021).
    """

    def __init__(
        self,
        config: ModelConfig,
        *,
        attention_kernel: AttentionKernel,
        constrain: Constrain,
        gradient_dtype: str,
        rngs: nnx.Rngs,
    ) -> None:
        self.norm = LayerNorm((config.d_model,), epsilon=config.norm_epsilon, logical_axes=(None,))
        self.attention = Attention(
            config,
            kernel=attention_kernel,
            constrain=constrain,
            gradient_dtype=gradient_dtype,
            rngs=rngs,
        )
        self.mlp = MLP(config, constrain=constrain, gradient_dtype=gradient_dtype, rngs=rngs)
        self.constrain = constrain

    def __call__(
        self, x: jax.Array, *, rope: RopeAngles, segment_ids: jax.Array
    ) -> tuple[jax.Array, KeyValue]:
        """Returns the block's output and its attention's keys and values."""
        x = name_activation(x, "block_input")
        h = self.norm(x)
        attended, present = self.attention(h, rope=rope, segment_ids=segment_ids)
        return self._add(x, attended, self.mlp(h)), present

    def branches(self, x: jax.Array, *, rope: RopeAngles, **layout: Any) -> jax.Array:
        """Returns the block's output for prefixes and their branches.

        layout: the other arguments of `Attention.branches`.
        """
        h = self.norm(x)
        attended = self.attention.branches(h, rope=rope, **layout)
        return self._add(x, attended, self.mlp(h))

    def decode(self, x: jax.Array, *, rope: RopeAngles, **cache: Any) -> tuple[jax.Array, KeyValue]:
        """Returns the block's output for a new token per sequence, and recent keys and values.

        cache: the other arguments of `Attention.decode`.
        """
        h = self.norm(x)
        attended, recent = self.attention.decode(h, rope=rope, **cache)
        return self._add(x, attended, self.mlp(h)), recent

    def _add(self, x: jax.Array, attended: jax.Array, transformed: jax.Array) -> jax.Array:
        return self.constrain(x + attended + transformed, ("batch", "tokens", None))
