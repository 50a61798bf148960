"""The model for evaluations: scores given continuations, and generates.

Both run in batches of fixed shape on the mesh that the parameters are on. A function is compiled
once per shape and kept, so the parameters are arguments; widths are powers of two, to keep the
number of shapes small. Every process makes the same calls with the same arguments and gets all the
results.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from codepretrain import interrupt
from codepretrain.config.schema import ModelConfig
from codepretrain.evals.placement import place_rows, rows_per_batch
from codepretrain.evals.progress import Progress, no_progress
from codepretrain.model.attention_kernels import AttentionKernel
from codepretrain.model.decode import decode_step, prefill
from codepretrain.model.transformer import Params, Transformer, bind
from codepretrain.rows.vocabulary import Vocabulary
from codepretrain.train.sharding import Constrain, replicated

_SMALLEST_WIDTH = 128  # narrower batches cost a compilation and save no time
_LOGITS_PER_DEVICE = 1 << 26  # held at once, float32: 256 MiB


@dataclass(frozen=True)
class Scores:
    """One entry per pair: [N] each. log_probabilities: Σ log p of the continuation's tokens, nats.

    is_greedy: whether each of its tokens is the most probable one. num_tokens: how many it has.
    """

    log_probabilities: np.ndarray
    is_greedy: np.ndarray
    num_tokens: np.ndarray


class LanguageModel:
    """Scores and generates token ids with parameters given at each call."""

    def __init__(
        self,
        config: ModelConfig,
        vocabulary: Vocabulary,
        mesh: Mesh,
        *,
        batch_size: int,
        max_seq_len: int,
        attention_kernel: str | AttentionKernel = "reference",
    ) -> None:
        """`batch_size` is rounded up to a multiple of the mesh's data-parallel devices."""
        assert len(vocabulary) == config.vocab_size, (len(vocabulary), config.vocab_size)
        self.vocabulary = vocabulary
        self.batch_size = rows_per_batch(batch_size, mesh)
        self.max_seq_len = max_seq_len
        self._place = functools.partial(place_rows, mesh=mesh)
        logits_per_position = self.batch_size * config.vocab_size
        self._num_at_once = max(1, _LOGITS_PER_DEVICE * mesh.size // logits_per_position)
        self._bind = functools.partial(
            bind,
            config,
            remat_policy="none",
            attention_kernel=attention_kernel,
            constrain=Constrain(mesh),
        )
        on_all = replicated(mesh)
        self._score = jax.jit(self._score_batch, out_shardings=on_all)
        self._generate = jax.jit(
            self._generate_batch, static_argnames="max_new_tokens", out_shardings=on_all
        )

    def score(
        self,
        params: Params,
        contexts: Sequence[Sequence[int]],
        continuations: Sequence[Sequence[int]],
        *,
        progress: Progress = no_progress,
    ) -> Scores:
        """Returns how probable each continuation is after its context.

        An empty context is replaced by bos. A pair longer than the model's rows loses the start of
        its context.

        Raises:
          ValueError: a continuation is empty, or longer than a row by itself.
        """
        for number, continuation in enumerate(continuations):
            if not 0 < len(continuation) <= self.max_seq_len:
                raise ValueError(
                    f"continuation {number} has {len(continuation)} tokens, expected 1 to "
                    f"{self.max_seq_len} (the model's rows)"
                )
        sequences = [
            [*(context or [self.vocabulary.bos]), *continuation][-self.max_seq_len - 1 :]
            for context, continuation in zip(contexts, continuations, strict=True)
        ]
        num_tokens = np.array([len(continuation) for continuation in continuations], np.int64)
        window = _width(int(num_tokens.max(initial=1)), self.max_seq_len, least=1)
        log_probabilities = np.zeros(len(sequences), np.float64)
        is_greedy = np.zeros(len(sequences), bool)
        num_done = 0
        for width, chunk in _batches([len(ids) - 1 for ids in sequences], self):
            inputs = np.zeros((self.batch_size, width), np.int32)
            lengths = np.ones((self.batch_size, 1), np.int32)
            targets = np.full((self.batch_size, window), -1, np.int32)
            for row, index in enumerate(chunk):
                ids, size = sequences[index], num_tokens[index]
                inputs[row, : len(ids) - 1] = ids[:-1]
                lengths[row] = len(ids) - 1
                targets[row, :size] = ids[-size:]
            interrupt.check()
            result = self._score(params, *map(self._place, (inputs, lengths, targets)))
            nats, matches = map(np.asarray, result)
            log_probabilities[chunk] = -nats[: len(chunk)]
            is_greedy[chunk] = matches[: len(chunk)]
            num_done += len(chunk)
            progress(num_done, len(sequences), "continuations")
        return Scores(log_probabilities, is_greedy, num_tokens)

    def generate(
        self,
        params: Params,
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int,
        stop_bytes: bytes = b"",
        progress: Progress = no_progress,
    ) -> list[list[int]]:
        """Returns the greedy completion of each prompt.

        A completion ends before eos or bos, after the first token whose text contains one of
        `stop_bytes`, or after `max_new_tokens`. An empty prompt is replaced by bos; a prompt that
        leaves no room in the model's rows loses its start.
        """
        assert 0 < max_new_tokens < self.max_seq_len, (max_new_tokens, self.max_seq_len)
        room = self.max_seq_len - max_new_tokens
        prompts = [list(prompt or [self.vocabulary.bos])[-room:] for prompt in prompts]
        specials = (self.vocabulary.eos, self.vocabulary.bos)
        stops = np.array(
            [bool(set(text) & set(stop_bytes)) for text in self.vocabulary.token_bytes]
        )
        stops[list(specials)] = True
        completions: list[list[int]] = [[] for _ in prompts]
        num_done = 0
        for width, chunk in _batches([len(prompt) for prompt in prompts], self, limit=room):
            inputs = np.zeros((self.batch_size, width), np.int32)
            lengths = np.ones((self.batch_size, 1), np.int32)
            is_used = np.zeros((self.batch_size, 1), bool)
            for row, index in enumerate(chunk):
                inputs[row, : len(prompts[index])] = prompts[index]
                lengths[row] = len(prompts[index])
                is_used[row] = True
            arrays = map(self._place, (inputs, lengths, is_used))
            interrupt.check()
            tokens = self._generate(params, *arrays, stops, max_new_tokens=max_new_tokens)
            for index, row in zip(chunk, np.asarray(tokens).tolist(), strict=False):
                completions[index] = [token for token in row if token not in (-1, *specials)]
            num_done += len(chunk)
            progress(num_done, len(prompts), "completions")
        return completions

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

    def _generate_batch(
        self,
        params: Params,
        prompts: jax.Array,
        lengths: jax.Array,
        is_used: jax.Array,
        stops: jax.Array,
        *,
        max_new_tokens: int,
    ) -> jax.Array:
        """Returns the new tokens [B, max_new_tokens], -1 after the one that stopped a row."""
        model = self._bind(params)
        capacity = prompts.shape[1] + max_new_tokens
        hidden, cache = prefill(model, prompts, lengths[:, 0], capacity=capacity)
        tokens = jnp.full((len(prompts), max_new_tokens), -1, jnp.int32)

        def is_any_running(carry: tuple) -> jax.Array:
            number, _, _, _, is_running = carry
            return (number < max_new_tokens) & jnp.any(is_running)

        def step(carry: tuple) -> tuple:
            number, hidden, cache, tokens, is_running = carry
            token = jnp.argmax(model.logits(hidden), axis=-1).astype(jnp.int32)
            tokens = tokens.at[:, number].set(jnp.where(is_running, token, -1))
            is_running &= ~stops[token]
            hidden, cache = decode_step(model, token, cache)
            return number + 1, hidden, cache, tokens, is_running

        start = (jnp.int32(0), hidden, cache, tokens, is_used[:, 0])
        return jax.lax.while_loop(is_any_running, step, start)[3]


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


def _width(length: int, limit: int, *, least: int = _SMALLEST_WIDTH) -> int:
    """Returns the next power of two from `length`, at least `least`, at most `limit`."""
    return min(max(1 << (length - 1).bit_length(), least), limit)


def _batches(
    lengths: Sequence[int], model: LanguageModel, *, limit: int | None = None
) -> list[tuple[int, list[int]]]:
    """Returns (width, numbers of the sequences) of every batch; equal widths share batches."""
    by_width: dict[int, list[int]] = {}
    for number, length in enumerate(lengths):
        by_width.setdefault(_width(length, limit or model.max_seq_len), []).append(number)
    return [
        (width, numbers[start : start + model.batch_size])
        for width, numbers in sorted(by_width.items())
        for start in range(0, len(numbers), model.batch_size)
    ]
