"""Multiple-choice items: which of four continuations follows the context?

All choices have equally many tokens. One follows the context in its document, the others are from
other held-out documents of the same source.
"""

import random
from collections.abc import Sequence
from typing import Any

from codepretrain.data.items.held_out import HeldOut

CONTEXT_TOKENS = 96
CONTINUATION_TOKENS = 24
NUM_CHOICES = 4
MAX_ITEMS_PER_DOCUMENT = 8


def continuation_items(
    documents: Sequence[HeldOut], *, max_seq_len: int, rng: random.Random
) -> list[dict[str, Any]]:
    """Returns items of one source; none if fewer than four documents are long enough.

    An item: {document, context: [ids], choices: [[ids] × 4], answer, choice_bytes: [4]}. Context
    and choice together have at most `max_seq_len` tokens.
    """
    num_context = min(CONTEXT_TOKENS, max_seq_len * 3 // 4)
    num_continuation = min(CONTINUATION_TOKENS, max_seq_len - num_context)
    size = num_context - 1 + num_continuation  # bos is the first token of the context
    windows = {}
    for held_out in documents:
        starts = range(1, len(held_out.ids) - size, size)
        if starts:
            windows[held_out.document.id] = [held_out.ids[start : start + size] for start in starts]
    if len(windows) < NUM_CHOICES:
        return []
    vocabulary = documents[0].vocabulary
    items = []
    for document, found in windows.items():
        others = sorted(windows.keys() - {document})
        for window in rng.sample(found, min(len(found), MAX_ITEMS_PER_DOCUMENT)):
            truth = window[num_context - 1 :]
            wrong = [
                rng.choice(windows[other])[num_context - 1 :]
                for other in rng.sample(others, NUM_CHOICES - 1)
            ]
            if truth in wrong:
                continue
            answer = rng.randrange(NUM_CHOICES)
            choices = [*wrong[:answer], truth, *wrong[answer:]]
            items.append(
                {
                    "document": document,
                    "context": [vocabulary.bos, *window[: num_context - 1]],
                    "choices": choices,
                    "answer": answer,
                    "choice_bytes": [len(vocabulary.decode(choice)) for choice in choices],
                }
            )
    return items
