"""The language model, and its parameters as a plain tree.

Letters: B batch, T tokens, D model, N query heads, K key-value heads, H head dim, F hidden,
V vocabulary, L layers.

Outside this folder parameters are nested dicts of float32 arrays:

    embedding                        [V, D]        (and unembedding [V, D] when they are not tied)
    blocks/norm/scale                [L, D]
    blocks/attention/query/kernel    [L, D, N, H]  key, value: K for N; query_norm/scale and
    blocks/attention/output/kernel   [L, N, H, D]    key_norm/scale [L, heads, H] with qk-norm
    blocks/mlp/gate/kernel, up       [L, D, F]     down [L, F, D]
    final_norm/scale                 [D]

Use in a step, under jit:

    params = jax.jit(init_params, static_argnums=0, out_shardings=…)(config, key)

    def loss(params, batch):
        model = bind(config, params, remat_policy="full", attention_kernel="reference",
                     constrain=…)  # on a mesh: see constrain.py
        hidden = model(batch.inputs, positions=batch.positions, segment_ids=batch.segment_ids)
        … loss.cross_entropy(hidden, model.output_embedding(), …)
    jax.value_and_grad(loss)(params, batch)
"""

from collections.abc import Hashable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from codepretrain.config.schema import ModelConfig
from codepretrain.model.attention_kernels import AttentionKernel, as_kernel
from codepretrain.model.block import Block
from codepretrain.model.constrain import Constrain, unconstrained
from codepretrain.model.norm import LayerNorm
from codepretrain.model.remat import checked_policy, rematerialize
from codepretrain.model.rope import RopeAngles, rotation

Params = dict[str, Any]  # nested dicts of arrays, or of anything else per parameter


class Transformer(nnx.Module):
    """A decoder of stacked blocks, scanned over layers.

    The embedding is drawn from a normal distribution with standard deviation 1/sqrt(D). The final
    norm gives hidden states of length sqrt(D), so the initial logits have standard deviation
    `logit_scale`.
    """

    def __init__(
        self,
        config: ModelConfig,
        *,
        remat_policy: str,
        attention_kernel: str | AttentionKernel,
        rngs: nnx.Rngs,
        constrain: Constrain = unconstrained,
        gradient_dtype: str = "float32",
        unroll: bool = False,
    ) -> None:
        kernel = as_kernel(attention_kernel)
        self.embedding = _embedding(config, rngs)
        if not config.tie_embeddings:
            self.unembedding = _embedding(config, rngs)

        @nnx.split_rngs(splits=config.num_layers)
        @nnx.vmap
        def stack(rngs: nnx.Rngs) -> Block:
            return Block(
                config,
                attention_kernel=kernel,
                constrain=constrain,
                gradient_dtype=gradient_dtype,
                rngs=rngs,
            )

        self.blocks = stack(rngs)
        self.final_norm = LayerNorm(
            (config.d_model,), epsilon=config.norm_epsilon, logical_axes=(None,)
        )
        self.config = config
        self.remat_policy = checked_policy(remat_policy)
        self.unroll = unroll
        self.constrain = constrain

    def __call__(
        self, inputs: jax.Array, *, positions: jax.Array, segment_ids: jax.Array
    ) -> jax.Array:
        """Returns the hidden states after the final norm: [B, T, D] compute dtype.

        inputs, positions, segment_ids: [B, T] int32, as in `batch.Batch`. Values at padding
        (segment 0) are finite but meaningless.
        """
        rope = self.rotation(positions)
        graph, stacked = nnx.split(self.blocks)

        def body(x: jax.Array, layer: nnx.State) -> tuple[jax.Array, None]:
            x, _ = nnx.merge(graph, layer)(x, rope=rope, segment_ids=segment_ids)
            return x, None

        body = rematerialize(body, policy=self.remat_policy, is_in_loop=not self.unroll)
        x, _ = jax.lax.scan(body, self.embed(inputs), stacked, unroll=self.unroll)
        return self.final_norm(x)

    def embed(self, inputs: jax.Array) -> jax.Array:
        """Returns the embeddings of token ids [B, T]: [B, T, D] compute dtype.

        They are looked up in float32 and then cast, so the gradient of a frequent token is summed
        in float32. An id outside the vocabulary yields NaN.
        """
        ids = self.constrain(inputs, ("lookup_batch", "tokens"))
        vectors = jnp.take(self.embedding[...], ids, axis=0)
        vectors = self.constrain(vectors, ("lookup_batch", "tokens", "lookup_embed"))
        vectors = vectors.astype(jnp.dtype(self.config.compute_dtype))
        return self.constrain(vectors, ("batch", "tokens", None))

    def rotation(self, positions: jax.Array) -> RopeAngles:
        """Returns the RoPE angles at these positions, the same in all layers."""
        return rotation(positions, head_dim=self.config.head_dim, base=self.config.rope_base)

    def output_embedding(self) -> jax.Array:
        """Returns the matrix that maps hidden states to logits: [V, D] float32."""
        tied = self.config.tie_embeddings
        return self.embedding[...] if tied else self.unembedding[...]

    def logits(self, hidden: jax.Array) -> jax.Array:
        """Returns logit_scale · hidden · embeddingᵀ: [..., V] float32, for a few positions."""
        embedding = self.output_embedding().astype(hidden.dtype)
        logits = jnp.einsum("...d,vd->...v", hidden, embedding, preferred_element_type=jnp.float32)
        return self.config.logit_scale * logits


def _embedding(config: ModelConfig, rngs: nnx.Rngs) -> nnx.Param:
    shape = (config.vocab_size, config.d_model)
    draw = jax.nn.initializers.normal(config.d_model**-0.5)
    return nnx.Param(draw(rngs.params(), shape, jnp.float32), logical_axes=("vocab", "embed"))


def init_params(config: ModelConfig, key: jax.Array) -> Params:
    """Returns random parameters: a function of `key` alone, on any mesh. For use under jit."""
    model = Transformer(
        config, remat_policy="none", attention_kernel="reference", rngs=nnx.Rngs(params=key)
    )
    return nnx.to_pure_dict(nnx.state(model, nnx.Param))


def abstract_params(config: ModelConfig) -> Params:
    """Returns the parameters' shapes and dtypes (`ShapeDtypeStruct`); allocates nothing."""
    return jax.eval_shape(lambda key: init_params(config, key), jax.random.key(0))


def logical_axes(config: ModelConfig) -> Params:
    """Returns the parameters' tree with a tuple of dim names in place of every parameter.

    Names: "layers", "vocab", "embed", "heads", "kv_heads", "head_dim", "mlp"; None for the scales
    of the norms over D, which are too small to split.
    """

    def names(path: tuple[Hashable, ...], param: nnx.Param) -> tuple[str | None, ...]:
        axes = param.get_metadata("logical_axes")
        return ("layers", *axes) if path[0] == "blocks" else axes

    state = nnx.state(_abstract_model(config), nnx.Param)
    flat = {path: names(path, param) for path, param in nnx.to_flat_state(state)}
    return nnx.traversals.unflatten_mapping(flat)


def bind(
    config: ModelConfig,
    params: Params,
    *,
    remat_policy: str,
    attention_kernel: str | AttentionKernel,
    constrain: Constrain = unconstrained,
    gradient_dtype: str = "float32",
    unroll: bool = False,
) -> Transformer:
    """Returns the model with `params`, which may be traced, as its parameters; copies nothing.

    gradient_dtype: of the matrices' gradients while they are summed over devices (`linear.py`).
    unroll: compile every layer instead of one in a loop.

    Raises:
      UserError: unknown remat policy or attention kernel.
    """
    model = _abstract_model(
        config,
        remat_policy=remat_policy,
        attention_kernel=attention_kernel,
        constrain=constrain,
        gradient_dtype=gradient_dtype,
        unroll=unroll,
    )
    return nnx.merge(nnx.graphdef(model), params)


def _abstract_model(config: ModelConfig, **execution: Any) -> Transformer:
    defaults = {"remat_policy": "none", "attention_kernel": "reference"}
    settings = defaults | execution
    return nnx.eval_shape(lambda: Transformer(config, rngs=nnx.Rngs(params=0), **settings))
