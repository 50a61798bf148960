"""Scores: how probable given continuations are."""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import jax
import numpy as np
from jax.sharding import Mesh

from codepretrain import interrupt
from codepretrain.errors import UserError
from codepretrain.evals.language_model.packing import PackedRows, pack_groups
from codepretrain.evals.language_model.positions import positions_at_once
from codepretrain.evals.language_model.shared_prefixes import Group, Scored, group_prefixes
from codepretrain.evals.language_model.target_scores import target_scores
from codepretrain.evals.placement import place_rows, rows_per_batch
from codepretrain.model.branches import Branches, forward_branches
from codepretrain.model.transformer import Params, Transformer
from codepretrain.train.sharding import num_row_shards, replicated

_SCORES_PER_DEVICE = 1 << 27  # of the branches' attention, held at once, float32: 512 MiB


@dataclass(frozen=True)
class Scores:
    """One entry per pair: [N] each. log_probabilities: Σ log p of the continuation's tokens, nats.

    is_greedy: whether each of its tokens is the most probable one. num_tokens: how many it has.
    """

    log_probabilities: np.ndarray
    is_greedy: np.ndarray
    num_tokens: np.ndarray


@dataclass(frozen=True)
class _Batch:
    """Arrays of R rows, S + C wide, and where each sequence's targets are: (row, start, stop)."""

    rows: Branches[np.ndarray]
    targets: np.ndarray  # [R, C], -1 where none is wanted
    places: dict[int, tuple[int, int, int]]


class Scorer:
    """Scores sequences with parameters given at each call."""

    def __init__(
        self,
        bind: Callable[[Params], Transformer],
        mesh: Mesh,
        *,
        batch_size: int,
        max_seq_len: int,
    ) -> None:
        self._bind = bind
        self._mesh = mesh
        self._limits = {
            "tokens_at_once": rows_per_batch(batch_size, mesh) * max_seq_len,
            "row_multiple": num_row_shards(mesh),
            "max_seq_len": max_seq_len,
        }
        self._place = functools.partial(place_rows, mesh=mesh)
        self._score = jax.jit(self._score_batch, out_shardings=replicated(mesh))

    def __call__(
        self, params: Params, sequences: Sequence[Scored]
    ) -> Iterator[list[tuple[int, float, bool]]]:
        """Yields (number of the sequence, Σ log p of its last tokens, whether all are greedy)."""
        running = None
        for packed in pack_groups(group_prefixes(sequences), **self._limits):
            num_rows = packed.rows_at_once
            for start in range(0, len(packed.rows), num_rows):
                chunk = packed.rows[start : start + num_rows]
                # Assembled while the devices compute the batch before.
                batch = _batch(chunk, packed, sequences, num_rows=num_rows)
                if running is not None:
                    yield _read(*running)
                interrupt.check()
                arrays = jax.tree.map(self._place, (batch.rows, batch.targets))
                running = (batch, self._score(params, *arrays))
        if running is not None:
            yield _read(*running)

    def _score_batch(
        self, params: Params, rows: Branches[jax.Array], targets: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Returns -log p of each target [R, C] and whether it is the most probable token [R, C]."""
        model = self._bind(params)
        if rows.tokens.shape == targets.shape:
            hidden = model(rows.tokens, positions=rows.positions, segment_ids=rows.segment_ids)
        else:
            max_scores = _SCORES_PER_DEVICE * self._mesh.size
            hidden = forward_branches(model, rows, max_scores=max_scores)
        num_at_once = positions_at_once(
            batch_size=len(targets),
            vocab_size=model.config.vocab_size,
            num_devices=self._mesh.size,
        )
        return target_scores(model, hidden, targets, num_at_once=num_at_once)


def _read(batch: _Batch, result: tuple[jax.Array, jax.Array]) -> list[tuple[int, float, bool]]:
    """Waits for the result of a batch and returns it by sequence."""
    nats, is_best = map(np.asarray, result)
    return [
        (
            number,
            -float(nats[row, first:last].sum(dtype=np.float64)),
            bool(is_best[row, first:last].all()),
        )
        for number, (row, first, last) in batch.places.items()
    ]


def _batch(
    rows: Sequence[Sequence[Group]],
    packed: PackedRows,
    sequences: Sequence[Scored],
    *,
    num_rows: int,
) -> _Batch:
    """Returns the arrays of a batch; rows that are missing from it are padding."""
    wide, narrow = (num_rows, packed.width), (num_rows, packed.branch_width)
    tokens, positions, segment_ids = (np.zeros(wide, np.int32) for _ in range(3))
    branches, targets = np.zeros(narrow, np.int32), np.full(narrow, -1, np.int32)
    places = {}
    for row, groups in enumerate(rows):
        in_prefixes, in_branches, num_branches = 0, packed.prefix_width, 0
        for segment, group in enumerate(groups, start=1):
            prefix = sequences[group.numbers[0]].ids[: group.prefix_tokens]
            at = slice(in_prefixes, in_prefixes + len(prefix))
            tokens[row, at], positions[row, at] = prefix, np.arange(len(prefix))
            segment_ids[row, at] = segment
            in_prefixes = at.stop
            for number in group.numbers:
                one = sequences[number]
                inputs = one.ids[len(prefix) : -1]
                at = slice(in_branches, in_branches + len(inputs))
                tokens[row, at] = inputs
                positions[row, at] = np.arange(len(prefix), one.num_inputs)
                num_branches += 1
                in_branches = at.stop
                first, last = (edge - packed.prefix_width for edge in (at.start, at.stop))
                segment_ids[row, at] = segment
                branches[row, first:last] = num_branches
                first = last - one.num_targets
                targets[row, first:last] = one.ids[-one.num_targets :]
                places[number] = (row, first, last)
    return _Batch(Branches(tokens, positions, segment_ids, branches), targets, places)


def check_numbers(log_probabilities: np.ndarray) -> None:
    """Raises UserError if a log-probability is not a number: no comparison with it is right."""
    num_wrong = int(np.isnan(log_probabilities).sum())
    if num_wrong:
        raise UserError(
            f"{num_wrong:,} of {len(log_probabilities):,} log-probabilities are not a number: the "
            "model has diverged, or overflows in config.model.compute_dtype"
        )
