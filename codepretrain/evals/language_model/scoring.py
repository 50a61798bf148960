"""Scores: how probable given continuations are."""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from codepretrain import interrupt
from codepretrain.evals.language_model.widths import width_for
from codepretrain.evals.placement import place_rows, rows_per_batch
from codepretrain.model.transformer import Params, Transformer
from codepretrain.train.sharding import replicated

_LOGITS_PER_DEVICE = 1 << 26  # held at once, float32: 256 MiB


@dataclass(frozen=True)
class Scores:
    """One entry per pair: [N] each. log_probabilities: Σ log p of the continuation's tokens, nats.

    is_greedy: whether each of its tokens is the most probable one. num_tokens: how many it has.
    """

    log_probabilities: np.ndarray
    is_greedy: np.ndarray
    num_tokens: np.ndarray


class Scorer:
    """Scores sequences with parameters given at each call."""

    def __init__(
        self,
        bind: Callable[[Params], Transformer],
        mesh: Mesh,
        *,
        batch_size: int,
        max_seq_len: int,
        vocab_size: int,
    ) -> None:
        self._bind = bind
        self._batch_size = rows_per_batch(batch_size, mesh)
        self._max_seq_len = max_seq_len
        self._place = functools.partial(place_rows, mesh=mesh)
        logits_per_position = self._batch_size * vocab_size
        self._num_at_once = max(1, _LOGITS_PER_DEVICE * mesh.size // logits_per_position)
        self._score = jax.jit(self._score_batch, out_shardings=replicated(mesh))

    def __call__(
        self, params: Params, sequences: Sequence[Sequence[int]], num_targets: Sequence[int]
    ) -> Iterator[list[tuple[int, float, bool]]]:
        """Yields (number of the sequence, Σ log p of its last tokens, whether all are greedy).

        Each sequence has at most max_seq_len + 1 tokens, the last `num_targets` of which count.
        """
        window = width_for(max(num_targets, default=1), self._max_seq_len, least=1)
        for width, chunk in self._batches([len(ids) - 1 for ids in sequences]):
            inputs = np.zeros((self._batch_size, width), np.int32)
            lengths = np.ones((self._batch_size, 1), np.int32)
            targets = np.full((self._batch_size, window), -1, np.int32)
            for row, number in enumerate(chunk):
                ids, count = sequences[number], num_targets[number]
                inputs[row, : len(ids) - 1] = ids[:-1]
                lengths[row] = len(ids) - 1
                targets[row, :count] = ids[-count:]
            interrupt.check()
            result = self._score(params, *map(self._place, (inputs, lengths, targets)))
            nats, is_greedy = (np.asarray(x).tolist() for x in result)
            yield [(number, -nats[row], is_greedy[row]) for row, number in enumerate(chunk)]

    def _batches(self, lengths: Sequence[int]) -> list[tuple[int, list[int]]]:
        """Returns (width, numbers of the sequences) of every batch; equal widths share batches."""
        by_width: dict[int, list[int]] = {}
        for number, length in enumerate(lengths):
            by_width.setdefault(width_for(length, self._max_seq_len), []).append(number)
        return [
            (width, numbers[start : start + self._batch_size])
            for width, numbers in sorted(by_width.items())
            for start in range(0, len(numbers), self._batch_size)
        ]

    def _score_batch(
        self, params: Params, inputs: jax.Array, lengths: jax.Array, targets: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Returns Σ -log p of each row's targets [B] and whether all are most probable [B].

        inputs: [B, T]; lengths: [B, 1], how many inputs there are; targets: [B, C], what follows
        the last inputs, padded with -1.
        """
        model = self._bind(params)
        positions = jnp.broadcast_to(
            jnp.arange(inputs.shape[1], dtype=jnp.int32)[None], inputs.shape
        )
        segment_ids = (positions < lengths).astype(jnp.int32)
        hidden = model(inputs, positions=positions, segment_ids=segment_ids)
        is_target = targets >= 0
        first = lengths - jnp.sum(is_target, axis=1, keepdims=True, dtype=jnp.int32)
        window = first + jnp.arange(targets.shape[1], dtype=jnp.int32)[None]
        window = jnp.clip(window, 0, inputs.shape[1] - 1)
        hidden = jnp.take_along_axis(hidden, window[..., None], axis=1)
        nats, is_best = _target_scores(model, hidden, targets, num_at_once=self._num_at_once)
        return (
            jnp.sum(jnp.where(is_target, nats, 0.0), axis=1),
            jnp.all(is_best | ~is_target, axis=1),
        )


def _target_scores(
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
