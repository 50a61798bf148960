"""Grades multiple choice: which choice is the most probable, and what policies without a model get.

A small model may always choose the same position, or prefer long choices. So each accuracy comes
with that of a random choice (its null value), of the best constant position, and of the longest and
the shortest choice.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from codepretrain.evals.harness.item_score import ItemScore
from codepretrain.evals.harness.metrics import (
    ACCURACY,
    ACCURACY_PER_CHARACTER,
    BASELINE,
    GOLD_BITS,
    PREDICTED,
)
from codepretrain.evals.harness.render import Item, RenderedTask


def grade_choices(
    task: RenderedTask,
) -> tuple[dict[str, ItemScore], list[dict[str, Any]]]:
    """Returns the scores of a multiple-choice task, and what its records tell of the choices."""
    totals = [_log_probabilities(item) for item in task.items]
    chosen = np.array([int(np.argmax(values)) for values in totals])
    per_character = np.array(
        [
            int(np.argmax(values / np.array([len(choice) or 1 for choice in item.choices])))
            for item, values in zip(task.items, totals, strict=True)
        ]
    )
    answers = [set(item.answers) for item in task.items]
    chance = float(np.mean([len(item.answers) / len(item.choices) for item in task.items]))
    bits, num_bytes = np.array(
        [_gold_bits(item, values) for item, values in zip(task.items, totals, strict=True)]
    ).T
    scores = {
        "accuracy": ItemScore(ACCURACY, _are_right(chosen, answers), null_value=chance),
        "accuracy_per_character": ItemScore(
            ACCURACY_PER_CHARACTER, _are_right(per_character, answers), null_value=chance
        ),
        "gold_bits_per_byte": ItemScore(GOLD_BITS, bits, num_bytes),
    }
    for name, values in policies(task.items).items():
        scores[f"baseline/{name}"] = ItemScore(BASELINE, values, is_kept=False)
    for position in range(max(len(item.choices) for item in task.items)):
        values = (chosen == position).astype(np.float64)
        scores[f"predicted/{position}"] = ItemScore(PREDICTED, values, is_kept=False)
    records = [
        {
            "choices": list(item.choices),
            "answers": list(item.answers),
            "chosen": int(choice),
            "log_probabilities": values.tolist(),
        }
        for item, choice, values in zip(task.items, chosen, totals, strict=True)
    ]
    return scores, records


def policies(items: Sequence[Item]) -> dict[str, np.ndarray]:
    """Returns how often each policy without a model is right on each item [n].

    Of k choices of the same length, each is taken 1/k of the time.
    """
    votes = np.bincount([answer for item in items for answer in item.answers] or [0])
    majority = int(votes.argmax())
    return {
        "majority": np.array([float(majority in item.answers) for item in items]),
        "longest": np.array([_by_length(item, max) for item in items]),
        "shortest": np.array([_by_length(item, min) for item in items]),
    }


def _by_length(item: Item, extreme: Callable[[Sequence[int]], int]) -> float:
    sizes = [len(choice.encode()) for choice in item.choices]
    taken = [at for at, size in enumerate(sizes) if size == extreme(sizes)]
    return sum(at in item.answers for at in taken) / len(taken)


def _log_probabilities(item: Item) -> np.ndarray:
    """Returns Σ log p of each choice [C]; requests after those are the harness's own use."""
    return np.array(
        [request.resps[0][0] for request in item.instances[: len(item.choices)]], np.float64
    )


def _gold_bits(item: Item, log_probabilities: np.ndarray) -> tuple[float, float]:
    """Returns -log2 p of the most probable right choice, and its bytes; NaN without a right one.

    Where the choices are in the context, the scored text is the same for all of them.
    """
    if not item.answers:
        return np.nan, np.nan
    best = max(item.answers, key=lambda at: log_probabilities[at])
    text = item.instances[best].args[1]
    return -log_probabilities[best] / np.log(2), float(len(text.encode()))


def _are_right(positions: np.ndarray, answers: Sequence[set[int]]) -> np.ndarray:
    return np.array(
        [position in right for position, right in zip(positions.tolist(), answers, strict=True)],
        np.float64,
    )
