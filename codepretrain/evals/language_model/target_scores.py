"""The probabilities of given tokens, from hidden states."""

import jax
import jax.numpy as jnp

from codepretrain.evals.language_model.positions import map_positions
from codepretrain.model.transformer import Transformer


def target_scores(
    model: Transformer, hidden: jax.Array, targets: jax.Array, *, num_at_once: int
) -> tuple[jax.Array, jax.Array]:
    """Returns -log p(target) and whether the target is the most probable token: [B, C] each.

    hidden: [B, C, D]; targets: [B, C], any id where the result is not used. At most logits
    [B, num_at_once, V] are in memory.
    """

    def score(hidden: jax.Array, targets: jax.Array) -> tuple[jax.Array, jax.Array]:
        logits = model.logits(hidden)
        target = jnp.take_along_axis(logits, jnp.maximum(targets, 0)[..., None], axis=-1)[..., 0]
        is_best = jnp.argmax(logits, axis=-1).astype(jnp.int32) == targets
        return jax.nn.logsumexp(logits, axis=-1) - target, is_best

    return map_positions(score, (hidden, targets), at_once=num_at_once)
