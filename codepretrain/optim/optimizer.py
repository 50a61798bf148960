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

# Leaf name → whether it decays; None: the config decides. Exactly one entry per kind of leaf of the
# model.
DECAYS: dict[str, bool | None] = {
    "kernel": True,
    "scale": False,
    "embedding": None,
    "unembedding": None,  # only in models without tied embeddings
}


@dataclass(frozen=True)
class AdamW:
    """The optimizer of a study. Its state is optax's: count, first and second moments.

    The first direction is the sign of the gradient. The kernel decays, the scale does not:

    >>> optimizer = AdamW(OptimizerConfig(max_gradient_norm=1.0))
    >>> params = {"kernel": jnp.float32([2.0]), "scale": jnp.float32([2.0])}
    >>> gradients = {"kernel": jnp.float32([3.0]), "scale": jnp.float32([4.0])}
    >>> rates = {"learning_rate": jnp.float32(0.1), "weight_decay": jnp.float32(0.5)}
    >>> params, state, norm = optimizer.update(
    ...     gradients, optimizer.init(params), params, **rates
    ... )
    >>> {name: f"{value[0]:.3f}" for name, value in params.items()}
    {'kernel': '1.800', 'scale': '1.900'}
    >>> float(norm)  # before clipping
    5.0
    """

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

    >>> decay_mask({"embedding": 0.0, "norm": {"scale": 0.0}}, decay_embeddings=True)
    {'embedding': True, 'norm': {'scale': False}}

    Raises:
      AssertionError: a leaf has a name without a rule, or `decay_embeddings=False` would apply to
        no leaf.
    """
    names = set()

    def decays(path: jax.tree_util.KeyPath, _: jax.Array) -> bool:
        name = jax.tree_util.keystr(path[-1:], simple=True)
        names.add(name)
        if name not in DECAYS:
            where = jax.tree_util.keystr(path, simple=True, separator="/")
            raise AssertionError(f"no rule says whether {where} decays")
        rule = DECAYS[name]
        return decay_embeddings if rule is None else rule

    mask = jax.tree_util.tree_map_with_path(decays, params)
    assert decay_embeddings or "embedding" in names, "no leaf is called 'embedding'"
    return mask
