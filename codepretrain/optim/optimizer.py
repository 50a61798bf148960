"""AdamW whose learning rate and weight decay are arguments of the update.

    g ← g · min(1, c / |g|)                     clip by the global norm over all leaves
    m ← β₁ m + (1 - β₁) g,   v ← β₂ v + (1 - β₂) g²
    d = m̂ / (√v̂ + ε)                            m̂ = m / (1 - β₁ᵗ), v̂ = v / (1 - β₂ᵗ)
    p ← p - η (d + λ p)                          λ p only for the leaves that decay

η and λ are float32 scalars on the device, so one compiled step serves every step and every phase.

Source: Loshchilov & Hutter 2019 (arXiv 1711.05101), with λ multiplied by η itself, as in
`optax.adamw`, and not by a separate schedule multiplier.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import optax

from codepretrain.config.schema import OptimizerConfig

# Per name of the leaf, or of the module that holds it: does it decay? None asks the config.
_DECAYS: dict[str, bool | None] = {"kernel": True, "scale": False, "embedding": None}


@dataclass(frozen=True)
class AdamW:
    """The optimizer of a study. Its state is optax's: count, first and second moments."""

    config: OptimizerConfig

    def init(self, params: optax.Params) -> optax.ScaleByAdamState:
        """Returns zero moments; the first in `first_moment_dtype`, the second as the parameters."""
        return self._with_moment_dtype(self._adam().init(params), self.config.first_moment_dtype)

    def update(
        self,
        gradients: optax.Params,
        state: optax.ScaleByAdamState,
        params: optax.Params,
        *,
        learning_rate: jax.Array,
        weight_decay: jax.Array,
    ) -> tuple[optax.Params, optax.ScaleByAdamState, jax.Array]:
        """Returns the new parameters, the new state, and the gradient's norm before clipping.

        The first moment is updated in float32 and rounded once, when it is stored; optax's own
        `mu_dtype` multiplies in the lower precision.
        """
        norm = optax.tree.norm(gradients)
        scale = jnp.minimum(1.0, self.config.max_gradient_norm / norm)
        clipped = jax.tree.map(lambda g: g * scale, gradients)
        with jax.numpy_dtype_promotion("standard"):  # optax raises a float to the integer count
            directions, state = self._adam().update(
                clipped, self._with_moment_dtype(state, "float32"), params
            )

        def step(p: jax.Array, direction: jax.Array, decays: bool) -> jax.Array:
            return p - learning_rate * (direction + weight_decay * p if decays else direction)

        new_params = jax.tree.map(
            step,
            params,
            directions,
            decay_mask(params, decay_embeddings=self.config.decay_embeddings),
        )
        return new_params, self._with_moment_dtype(state, self.config.first_moment_dtype), norm

    def _adam(self) -> optax.GradientTransformation:
        return optax.scale_by_adam(self.config.beta1, self.config.beta2, self.config.epsilon)

    def _with_moment_dtype(
        self, state: optax.ScaleByAdamState, dtype: str
    ) -> optax.ScaleByAdamState:
        return state._replace(mu=optax.tree.cast(state.mu, jnp.dtype(dtype)))


def decay_mask(params: optax.Params, *, decay_embeddings: bool) -> optax.Params:
    """Returns, for each leaf, whether it decays: kernels do, scales do not, embeddings may.

    A leaf is known by its own name or the nearest name above it in its path, such as
    `blocks/attention/query/kernel`, `final_norm/scale`, `embedding`, `output_embedding`.
    """

    def decays(path: jax.tree_util.KeyPath, _: jax.Array) -> bool:
        names = jax.tree_util.keystr(path, simple=True, separator="/").split("/")
        for name in reversed(names):
            kind = "embedding" if name.endswith("embedding") else name
            if kind in _DECAYS:
                known = _DECAYS[kind]
                return decay_embeddings if known is None else known
        raise AssertionError(f"no rule says whether {'/'.join(names)} decays")

    return jax.tree_util.tree_map_with_path(decays, params)
