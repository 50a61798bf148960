"""The probabilities of given tokens, from hidden states."""

import jax
import jax.numpy as jnp

from codepretrain.model.transformer import Transformer


def target_scores(
    model: Transformer, hidden: jax.Array, targets: jax.Array, *, num_at_once: int
) -> tuple[jax.Array, jax.Array]:
    """Returns -log p(target) and whether the target is the most probable token: [B, C] each.

    hidden: [B, C, D]; targets: [B, C], any id where the result is not used. Processes `num_at_once`
    positions at a time, so at most logits [B, num_at_once, V] are in memory.
    """
    batch_size, window = targets.shape
    num_at_once = min(num_at_once, window)
    num_chunks = -(-window // num_at_once)
    missing = num_chunks * num_at_once - window

    def chunks(x: jax.Array) -> jax.Array:
        x = jnp.pad(x, ((0, 0), (0, missing), *(((0, 0),) * (x.ndim - 2))))
        return x.reshape(batch_size, num_chunks, num_at_once, *x.shape[2:]).swapaxes(0, 1)

    def score(xs: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        hidden, targets = xs
        logits = model.logits(hidden)
        target = jnp.take_along_axis(logits, jnp.maximum(targets, 0)[..., None], axis=-1)[..., 0]
        is_best = jnp.argmax(logits, axis=-1).astype(jnp.int32) == targets
        return jax.nn.logsumexp(logits, axis=-1) - target, is_best

    results = jax.lax.map(score, (chunks(hidden), chunks(targets)))
    nats, is_best = (x.swapaxes(0, 1).reshape(batch_size, -1)[:, :window] for x in results)
    return nats, is_best
