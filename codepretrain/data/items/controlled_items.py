"""Multiple-choice items of the controlled language: the answer that follows, or another value.

The context is the document up to the answer. The wrong choice of a story or a program is another
value of the same bindings, so a model that only knows which values a text has is right half of the
time; that of a fact is any other value.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from codepretrain.data.controlled_language import Answer, answers
from codepretrain.data.items.held_out import HeldOut


@dataclass(frozen=True)
class _Found:
    """An answer and its tokens, ids[start:stop] of its document."""

    held_out: HeldOut
    answer: Answer
    start: int
    stop: int

    @property
    def ids(self) -> list[int]:
        return self.held_out.ids[self.start : self.stop]


def controlled_items(
    documents: Sequence[HeldOut], *, kind: str, max_seq_len: int, rng: random.Random
) -> list[dict[str, Any]]:
    """Returns the items of one kind of answer: "story", "fact" or "code".

    An item: {document, context: [ids], choices: [[ids] × 2], answer, choice_bytes: [2]}. The
    document up to the answer's end has at most `max_seq_len` tokens.
    """
    every = [found for held_out in documents for found in _answers(held_out)]
    ids_of = {found.answer.word: found.ids for found in every}
    items = []
    for found in every:
        wrong = [word for word in found.answer.wrong if word in ids_of]
        if found.answer.kind != kind or found.stop > max_seq_len or not wrong:
            continue
        answer = rng.randrange(2)
        choices = [ids_of[rng.choice(wrong)]]
        choices.insert(answer, found.ids)
        vocabulary = found.held_out.vocabulary
        items.append(
            {
                "document": found.held_out.document.id,
                "context": found.held_out.ids[: found.start],
                "choices": choices,
                "answer": answer,
                "choice_bytes": [len(vocabulary.decode(choice)) for choice in choices],
            }
        )
    return items


def _answers(held_out: HeldOut) -> Iterator[_Found]:
    """Yields the answers of a document whose first and last byte are those of tokens."""
    words = held_out.document.text.split(" ")[1:]
    ends = {int(end): index + 1 for index, end in enumerate(held_out.ends[:-1])}  # without eos
    starts = [0]  # of the words, each with the space before it, and the end of the last one
    for word in words:
        starts.append(starts[-1] + 1 + len(word))
    for answer in answers(words):
        start, stop = (ends.get(at) for at in starts[answer.place : answer.place + 2])
        if start is not None and stop is not None:
            yield _Found(held_out, answer, start, stop)
