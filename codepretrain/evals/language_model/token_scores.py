"""The log-probability of every token of a sequence, and the most probable tokens in its place."""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from codepretrain import interrupt
from codepretrain.evals.language_model.positions import map_positions, positions_at_once
from codepretrain.evals.language_model.widths import width_for
from codepretrain.evals.placement import place_rows, rows_per_batch
from codepretrain.evals.progress import Progress
from codepretrain.model.transformer import Params, Transformer
from codepretrain.train.sharding import replicated


@dataclass(frozen=True)
class TokenScores:
    """Of a sequence of T tokens, each given those before it; log-probabilities in nats, float64.

        place                      0    1          …  T - 1          T
        log_probabilities          nan  log p(x₁)  …  log p(x_{T-1})            [T]
        top_ids                    -1   ids        …  ids            ids        [T + 1, K]
        top_log_probabilities      nan  log p      …  log p          log p      [T + 1, K]

    The K most probable tokens of a place stand in order, of equals the smallest id first. Place T
    is that of the next token.
    """

    log_probabilities: np.ndarray
    top_ids: np.ndarray
    top_log_probabilities: np.ndarray


class TokenScorer:
    """Scores each token of sequences, with parameters given at each call."""

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
        self._num_at_once = positions_at_once(
            batch_size=self._batch_size, vocab_size=vocab_size, num_devices=mesh.size
        )
        self._score = jax.jit(
            self._score_batch, static_argnames="num_top", out_shardings=replicated(mesh)
        )

    def all(
        self,
        params: Params,
        sequences: Sequence[Sequence[int]],
        *,
        num_top: int,
        progress: Progress,
    ) -> list[TokenScores]:
        """Returns the scores of each sequence.

        Raises:
          ValueError: a sequence is empty, or longer than the model's rows.
        """
        for number, tokens in enumerate(sequences):
            if not 0 < len(tokens) <= self._max_seq_len:
                raise ValueError(
                    f"sequence {number} has {len(tokens)} tokens, expected 1 to "
                    f"{self._max_seq_len} (the model's rows)"
                )
        found: dict[int, TokenScores] = {}
        for finished in self(params, sequences, num_top=num_top):
            found.update(finished)
            progress(len(found), len(sequences), "sequences")
        return [found[number] for number in range(len(sequences))]

    def __call__(
        self, params: Params, sequences: Sequence[Sequence[int]], *, num_top: int
    ) -> Iterator[list[tuple[int, TokenScores]]]:
        """Yields (number of the sequence, its scores), a batch at a time.

        Each sequence has 1 to max_seq_len tokens. What it gets depends on no other sequence: its
        row is computed by a function of its own width.
        """
        by_width: dict[int, list[int]] = {}
        for number, tokens in enumerate(sequences):
            by_width.setdefault(width_for(len(tokens), self._max_seq_len), []).append(number)
        for width, numbers in sorted(by_width.items()):
            for start in range(0, len(numbers), self._batch_size):
                chunk = numbers[start : start + self._batch_size]
                inputs = np.zeros((self._batch_size, width), np.int32)
                lengths = np.ones((self._batch_size, 1), np.int32)
                for row, number in enumerate(chunk):
                    inputs[row, : len(sequences[number])] = sequences[number]
                    lengths[row] = len(sequences[number])
                interrupt.check()
                arrays = map(self._place, (inputs, lengths))
                results = map(np.asarray, self._score(params, *arrays, num_top=num_top))
                rows = zip(*results, strict=True)
                yield [
                    (number, _token_scores(len(sequences[number]), *row))
                    for number, row in zip(chunk, rows, strict=False)
                ]

    def _score_batch(
        self, params: Params, inputs: jax.Array, lengths: jax.Array, *, num_top: int
    ) -> tuple[jax.Array, ...]:
        """Returns the logits of the next inputs [B, T], those of the most probable tokens
        [B, T, K], their ids [B, T, K], and log Σ exp of all logits [B, T].

        inputs: [B, T]; lengths: [B, 1], how many inputs there are.
        """
        model = self._bind(params)
        positions = jnp.broadcast_to(
            jnp.arange(inputs.shape[1], dtype=jnp.int32)[None], inputs.shape
        )
        segment_ids = (positions < lengths).astype(jnp.int32)
        hidden = model(inputs, positions=positions, segment_ids=segment_ids)
        targets = jnp.roll(inputs, -1, axis=1)  # the last one is not used

        def score(hidden: jax.Array, targets: jax.Array) -> tuple[jax.Array, ...]:
            logits = model.logits(hidden)
            target = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
            top, ids = jax.lax.top_k(logits, num_top)
            return target, top, ids, jax.nn.logsumexp(logits, axis=-1)

        return map_positions(score, (hidden, targets), at_once=self._num_at_once)


def _token_scores(
    length: int, target: np.ndarray, top: np.ndarray, ids: np.ndarray, total: np.ndarray
) -> TokenScores:
    """Returns the scores of one row; subtracts in float64, so that different logits stay so."""
    log_p_top = top[:length].astype(np.float64) - total[:length, None].astype(np.float64)
    log_p = (target.astype(np.float64) - total.astype(np.float64))[: length - 1]
    first = (1, top.shape[-1])
    return TokenScores(
        log_probabilities=np.concatenate([[np.nan], log_p]),
        top_ids=np.concatenate([np.full(first, -1, np.int32), ids[:length]]),
        top_log_probabilities=np.concatenate([np.full(first, np.nan), log_p_top]),
    )
