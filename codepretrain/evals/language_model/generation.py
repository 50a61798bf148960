"""Continuous batching: a fixed number of slots, each of which completes one prompt after another.

    slot 0   prompt a · · · ·|prompt e · · · · · · ·
    slot 1   prompt b · · · · · · ·|prompt f · · · ·        · a token
    slot 2   prompt c · ·|prompt g · · · · · · · · ·        | the completion ends, the slot is
    slot 3   prompt d · · · · · · · · ·|prompt h · ·          refilled

Keys and values of all slots lie on the devices, split over rows and heads as in training. One
compiled function prefills a few prompts into free slots, another decodes `_STEPS` tokens in every
slot. The host reads the tokens after these steps. Only it knows the text, so only it finds stop
strings; a slot may decode a few tokens past its stop string, which are dropped.

Short prompts come first: the capacity of the slots grows with the prompts, so few steps attend over
many empty places.

What a slot writes depends on its own prompt only, so neither the number of slots nor the other
prompts change a completion (up to the rounding of differently shaped matrix products).
"""

import functools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from codepretrain import interrupt
from codepretrain.evals.language_model.completion import Completion, Draft
from codepretrain.evals.language_model.prompts import Prompt
from codepretrain.evals.language_model.sampling import Sampling, draw, greedy
from codepretrain.evals.language_model.widths import width_for
from codepretrain.evals.placement import place_rows, rows_per_batch
from codepretrain.model.attention import KeyValue
from codepretrain.model.decode import (
    AXES,
    Cache,
    Past,
    commit,
    decode_step,
    empty_past,
    grow,
    insert,
    prefill,
)
from codepretrain.model.transformer import Params, Transformer
from codepretrain.rows.vocabulary import Vocabulary
from codepretrain.train.sharding import named_sharding, replicated

_STEPS = 8  # between two looks of the host at the tokens
_NARROWEST = 32  # prefilled prompts


class Slots(NamedTuple):
    """What the devices hold of B slots: each last token's hidden state [B, D], and the past."""

    hidden: jax.Array
    past: Past


@dataclass
class _Running:
    """The prompt in a slot and what is written so far."""

    number: int
    prompt: Prompt
    draft: Draft

    @property
    def length(self) -> int:
        """The tokens of the prompt and of what is written."""
        return len(self.prompt.tokens) + len(self.draft.tokens)


class Generator:
    """Completes prompts with parameters given at each call."""

    def __init__(
        self,
        bind: Callable[[Params], Transformer],
        vocabulary: Vocabulary,
        mesh: Mesh,
        *,
        num_slots: int,
        max_seq_len: int,
        num_layers: int,
    ) -> None:
        self._bind = bind
        self._vocabulary = vocabulary
        self._max_seq_len = max_seq_len
        self._num_slots = rows_per_batch(num_slots, mesh)
        # At a time; with few prompts of like length, little is padding.
        self._num_prefilled = rows_per_batch(-(-num_slots // 8), mesh)
        self._place = functools.partial(place_rows, mesh=mesh)
        self._most = -(-(max_seq_len + _STEPS) // 16) * 16  # the largest capacity
        slots = _shardings(mesh, num_layers=num_layers)
        self._start = jax.jit(self._empty_slots, static_argnames="capacity", out_shardings=slots)
        self._grow = jax.jit(_grown, static_argnames="capacity", out_shardings=slots)
        self._fill = jax.jit(self._fill_slots, donate_argnums=1, out_shardings=slots)
        self._advance = jax.jit(
            self._advance_slots,
            donate_argnums=1,
            static_argnames=("is_sampled", "top_k", "uses_top_p"),
            out_shardings=(slots, replicated(mesh)),
        )

    def __call__(
        self,
        params: Params,
        prompts: Sequence[Prompt],
        *,
        sampling: Sampling | None,
        more: Callable[[], Sequence[Prompt]] = tuple,
    ) -> Iterator[list[tuple[int, Completion]]]:
        """Yields (number of the prompt, its completion), after every few steps.

        Args:
          more: is asked between steps for prompts that have come, which are numbered on.
        """
        prompts = [*prompts]
        slots = self._start(params, capacity=self._capacity(1))
        waiting = deque(sorted(range(len(prompts)), key=lambda n: _cost(prompts[n])))
        running: list[_Running | None] = [None] * self._num_slots
        choice = _choice(sampling)
        while True:
            come = more()
            waiting.extend(range(len(prompts), len(prompts) + len(come)))
            prompts += come
            if not waiting and not any(running):
                return
            interrupt.check()
            while waiting and running.count(None) >= min(self._num_prefilled, len(waiting)):
                slots = self._refill(params, slots, running, waiting, prompts)
            slots = self._with_room(slots, max(one.length for one in running if one) + _STEPS)
            control = np.array([_control(one) for one in running], np.int32)
            slots, tokens = self._advance(params, slots, self._place(control), **choice)
            yield _read(running, np.asarray(tokens).tolist())

    def _capacity(self, length: int) -> int:
        """Returns the next multiple of 64, or of an eighth of a power of two; at most the most."""
        step = max(64, width_for(length, 1 << 30) // 8)
        return min(-(-length // step) * step, self._most)

    def _with_room(self, slots: Slots, length: int) -> Slots:
        """Returns the slots with a capacity of at least `length`."""
        if length <= slots.past[0].key.shape[2]:
            return slots
        return self._grow(slots, capacity=self._capacity(length))

    def _refill(
        self,
        params: Params,
        slots: Slots,
        running: list[_Running | None],
        waiting: deque[int],
        prompts: Sequence[Prompt],
    ) -> Slots:
        """Prefills the next prompts into free slots."""
        free = [slot for slot, one in enumerate(running) if one is None]
        count = min(self._num_prefilled, len(waiting), len(free))
        numbers = [waiting.popleft() for _ in range(count)]
        longest = max(len(prompts[n].tokens) for n in numbers)
        width = width_for(longest, self._max_seq_len, least=_NARROWEST)
        tokens = np.zeros((self._num_prefilled, width), np.int32)
        lengths = np.ones((self._num_prefilled, 1), np.int32)
        sources = np.full((self._num_slots, 1), -1, np.int32)
        for row, (number, slot) in enumerate(zip(numbers, free, strict=False)):
            prompt = prompts[number]
            tokens[row, : len(prompt.tokens)] = prompt.tokens
            lengths[row], sources[slot] = len(prompt.tokens), row
            draft = Draft(
                self._vocabulary, stops=prompt.stops, max_new_tokens=prompt.max_new_tokens
            )
            running[slot] = _Running(number, prompt, draft)
        slots = self._with_room(slots, width)
        return self._fill(params, slots, *map(self._place, (tokens, lengths, sources)))

    def _empty_slots(self, params: Params, *, capacity: int) -> Slots:
        model = self._bind(params)
        past = empty_past(model, self._num_slots, capacity=capacity)
        hidden = jnp.zeros((self._num_slots, model.config.d_model), past[0].key.dtype)
        return Slots(hidden, past)

    def _fill_slots(
        self,
        params: Params,
        slots: Slots,
        tokens: jax.Array,
        lengths: jax.Array,
        sources: jax.Array,
    ) -> Slots:
        """Puts prompts [R, P] into slots; sources: [B, 1], each slot's row, -1: it stays."""
        model, sources = self._bind(params), sources[:, 0]
        hidden, new = prefill(model, tokens, lengths[:, 0])
        hidden = jnp.where((sources >= 0)[:, None], hidden[sources], slots.hidden)
        return Slots(hidden, insert(model, slots.past, new, sources))

    def _advance_slots(
        self,
        params: Params,
        slots: Slots,
        control: jax.Array,
        *,
        is_sampled: bool,
        top_k: int | None = None,
        uses_top_p: bool = False,
        **knobs: jax.Array,
    ) -> tuple[Slots, jax.Array]:
        """Decodes up to _STEPS tokens in each slot: [B, _STEPS], -1 where it does not run.

        control: [B, 5], how many tokens each slot may still write, how many it has, and the
        counters of its next draw.
        """
        model = self._bind(params)
        num_left, lengths, counters = control[:, 0], control[:, 1], control[:, 2:]
        cache = Cache.of(model, slots.past, lengths, num_steps=_STEPS)
        tokens = jnp.full((len(control), _STEPS), -1, jnp.int32)

        def next_token(logits: jax.Array, step: jax.Array) -> jax.Array:
            if not is_sampled:
                return greedy(logits)
            at = counters.at[:, 2].add(step)
            return draw(logits, at, top_k=top_k, uses_top_p=uses_top_p, **knobs)

        def is_any_running(carry: tuple) -> jax.Array:
            step, _, _, _, num_left = carry
            return (step < _STEPS) & jnp.any(num_left > 0)

        def advance(carry: tuple) -> tuple:
            step, hidden, (recent, num_recent), tokens, num_left = carry
            token = next_token(model.logits(hidden), step)
            tokens = tokens.at[:, step].set(jnp.where(num_left > 0, token, -1))
            # The past is no part of the carry: the loop only reads it.
            now = cache._replace(recent=recent, num_recent=num_recent)
            hidden, now = decode_step(model, token, now)
            num_left = jnp.where(token == self._vocabulary.eos, 0, num_left - 1)
            return step + 1, hidden, (now.recent, now.num_recent), tokens, num_left

        start = (jnp.int32(0), slots.hidden, (cache.recent, cache.num_recent), tokens, num_left)
        _, hidden, (recent, _), tokens, _ = jax.lax.while_loop(is_any_running, advance, start)
        return Slots(hidden, commit(cache._replace(recent=recent))), tokens


def _grown(slots: Slots, *, capacity: int) -> Slots:
    return Slots(slots.hidden, grow(slots.past, capacity=capacity))


def _shardings(mesh: Mesh, *, num_layers: int) -> Any:
    """Returns the sharding of every array of `Slots`, in its structure."""
    past: Any = named_sharding(mesh, AXES)
    hidden: Any = named_sharding(mesh, ("batch", None))
    return Slots(hidden, (KeyValue(past, past),) * num_layers)


def _cost(prompt: Prompt) -> tuple[int, int]:
    """Orders prompts: the short ones first; those of one width are prefilled together."""
    return len(prompt.tokens), prompt.max_new_tokens


def _choice(sampling: Sampling | None) -> dict[str, Any]:
    """Returns the arguments that say how tokens are chosen; a new number compiles nothing."""
    if sampling is None:
        return {"is_sampled": False}
    return {
        "is_sampled": True,
        "top_k": sampling.top_k,
        "uses_top_p": sampling.top_p < 1.0,
        "seed": np.uint32(sampling.seed),
        "temperature": np.float32(sampling.temperature),
        "top_p": np.float32(sampling.top_p),
    }


def _control(one: _Running | None) -> tuple[int, ...]:
    """Returns a slot's row of `control`."""
    if one is None:
        return (0, 0, 0, 0, 0)
    return (one.draft.num_left, one.length, *one.prompt.counters, len(one.draft.tokens))


def _read(running: list[_Running | None], tokens: list[list[int]]) -> list[tuple[int, Completion]]:
    """Appends the new tokens to the drafts; frees the slots of those that end and returns them."""
    done = []
    for slot, (one, row) in enumerate(zip(running, tokens, strict=True)):
        if one is None:
            continue
        for token in row:
            completion = one.draft.add(token)
            if completion is not None:
                done.append((one.number, completion))
                running[slot] = None
                break
    return done
