"""Next-token cross-entropy and z-loss in blocks of the vocabulary: no [B, T, V] array ever exists.

Letters: B batch, T tokens, D model, V vocabulary; J blocks of W ids each, J · W ≥ V.

Block j holds the ids j, j + J, j + 2J, …: the embedding [V, D] is read as [W, J, D] and scanned
over J. A mesh axis that splits V into contiguous parts then splits every block evenly, so each
device computes its part of each block and no slice crosses devices (contiguous blocks would gather
the whole matrix). An embedding split along D is gathered block by block, in the compute dtype.

Forward and backward each pass once over the blocks; the backward computes the logits again. With W
ids per block the largest buffer is [B, T, W] float32, besides the gradient of the embedding.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

# hidden, embedding, targets and log Z: what the backward pass keeps of the forward.
_Residuals = tuple[jax.Array, jax.Array, jax.Array, jax.Array]


class LossSums(NamedTuple):
    """Sums over the positions of a batch, each a float32 scalar. The objective is nats + z_loss."""

    nats: jax.Array  # Σ weight · -log p(target)
    z_loss: jax.Array  # Σ weight · coefficient · log Z ²
    num_targets: jax.Array  # Σ weight


def cross_entropy_sums(
    hidden: jax.Array,
    embedding: jax.Array,
    targets: jax.Array,
    weights: jax.Array,
    *,
    logit_scale: float,
    z_loss_coefficient: float,
    block_size: int,
) -> LossSums:
    """Returns the loss of a batch as sums; differentiable in `hidden` and `embedding`.

    hidden: [B, T, D] compute dtype; embedding: [V, D] float32; targets: [B, T] int32;
    weights: [B, T] float32. Logits are logit_scale · hidden · embeddingᵀ, products in the compute
    dtype and sums in float32. A position of weight 0 adds nothing, whatever finite value it holds.

    Source of the z-loss: Chowdhery et al. 2022 (PaLM), section 5; here with its own coefficient.
    """
    target_logit, log_z = _score(hidden, embedding, targets, logit_scale, block_size)
    return LossSums(
        nats=jnp.sum(weights * (log_z - target_logit)),
        z_loss=jnp.sum(weights * z_loss_coefficient * jnp.square(log_z)),
        num_targets=jnp.sum(weights),
    )


def token_losses(
    hidden: jax.Array,
    embedding: jax.Array,
    targets: jax.Array,
    *,
    logit_scale: float,
    block_size: int,
) -> jax.Array:
    """Returns -log p(target) at every position: [B, T] float32, in nats. Arguments as above."""
    target_logit, log_z = _score(hidden, embedding, targets, logit_scale, block_size)
    return log_z - target_logit


def _blocks(embedding: jax.Array, block_size: int) -> jax.Array:
    """Returns the embedding [V, D] as [J, W, D]; zeros stand in for the ids from V on."""
    vocab_size, d_model = embedding.shape
    num_blocks = -(-vocab_size // block_size)
    width = -(-vocab_size // num_blocks)
    padded = jnp.pad(embedding, ((0, num_blocks * width - vocab_size), (0, 0)))
    return padded.reshape(width, num_blocks, d_model).swapaxes(0, 1)


def _logits(
    hidden: jax.Array, block: jax.Array, ids: jax.Array, *, logit_scale: float, vocab_size: int
) -> jax.Array:
    """Returns a block's logits [B, T, W] float32; -inf for ids from vocab_size on."""
    logits = jnp.einsum("btd,wd->btw", hidden, block, preferred_element_type=jnp.float32)
    return jnp.where((ids < vocab_size)[None, None], logits * logit_scale, -jnp.inf)


def _ids(blocks: jax.Array) -> jax.Array:
    """Returns the token id of every row of the blocks: [J, W] int32."""
    num_blocks, width, _ = blocks.shape
    return jnp.arange(width * num_blocks, dtype=jnp.int32).reshape(width, num_blocks).T


class _Running(NamedTuple):
    """What is known of every position after some blocks: each [B, T] float32."""

    maximum: jax.Array
    total: jax.Array  # Σ exp(logit - maximum)
    target_logit: jax.Array  # 0 until the target's block


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _score(
    hidden: jax.Array,
    embedding: jax.Array,
    targets: jax.Array,
    logit_scale: float,
    block_size: int,
) -> tuple[jax.Array, jax.Array]:
    """Returns the target's logit and log Z = log Σ exp(logits): each [B, T] float32."""
    blocks = _blocks(embedding.astype(hidden.dtype), block_size)

    def add_block(carry: _Running, xs: tuple[jax.Array, jax.Array]) -> tuple[_Running, None]:
        maximum, total, target_logit = carry
        block, ids = xs
        logits = _logits(hidden, block, ids, logit_scale=logit_scale, vocab_size=embedding.shape[0])
        new_maximum = jnp.maximum(maximum, jnp.max(logits, axis=-1))
        total = total * jnp.exp(maximum - new_maximum)
        total += jnp.sum(jnp.exp(logits - new_maximum[..., None]), axis=-1)
        is_target = targets[..., None] == ids[None, None]
        target_logit += jnp.sum(jnp.where(is_target, logits, 0.0), axis=-1)
        return _Running(new_maximum, total, target_logit), None

    zeros = jnp.zeros(targets.shape, jnp.float32)
    start = _Running(jnp.full_like(zeros, -jnp.inf), zeros, zeros)
    (maximum, total, target_logit), _ = jax.lax.scan(add_block, start, (blocks, _ids(blocks)))
    return target_logit, maximum + jnp.log(total)


def _score_forward(
    hidden: jax.Array,
    embedding: jax.Array,
    targets: jax.Array,
    logit_scale: float,
    block_size: int,
) -> tuple[tuple[jax.Array, jax.Array], _Residuals]:
    target_logit, log_z = _score(hidden, embedding, targets, logit_scale, block_size)
    return (target_logit, log_z), (hidden, embedding, targets, log_z)


def _score_backward(
    logit_scale: float,
    block_size: int,
    residuals: _Residuals,
    cotangents: tuple[jax.Array, jax.Array],
) -> tuple[jax.Array, jax.Array, None]:
    """d logits = d target_logit · onehot(target) + d log_z · softmax, block by block."""
    hidden, embedding, targets, log_z = residuals
    d_target_logit, d_log_z = cotangents
    vocab_size, d_model = embedding.shape
    blocks = _blocks(embedding.astype(hidden.dtype), block_size)

    def add_block(
        d_hidden: jax.Array, xs: tuple[jax.Array, jax.Array]
    ) -> tuple[jax.Array, jax.Array]:
        block, ids = xs
        logits = _logits(hidden, block, ids, logit_scale=logit_scale, vocab_size=vocab_size)
        is_target = targets[..., None] == ids[None, None]
        d_logits = d_log_z[..., None] * jnp.exp(logits - log_z[..., None])
        d_logits += jnp.where(is_target, d_target_logit[..., None], 0.0)
        d_logits = (d_logits * logit_scale).astype(hidden.dtype)
        d_hidden += jnp.einsum("btw,wd->btd", d_logits, block, preferred_element_type=jnp.float32)
        d_block = jnp.einsum("btw,btd->wd", d_logits, hidden, preferred_element_type=jnp.float32)
        return d_hidden, d_block

    start = jnp.zeros(hidden.shape, jnp.float32)
    d_hidden, d_blocks = jax.lax.scan(add_block, start, (blocks, _ids(blocks)))
    d_embedding = d_blocks.swapaxes(0, 1).reshape(-1, d_model)[:vocab_size]
    return d_hidden.astype(hidden.dtype), d_embedding.astype(embedding.dtype), None


_score.defvjp(_score_forward, _score_backward)
