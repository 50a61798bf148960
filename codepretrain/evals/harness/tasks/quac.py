"""QuAC as multiple choice: a question about a section of an article, after the dialog so far.

    Title: Ada Lovelace - Notes
    <the section>
    Q: <first question>
    A: <its answer>
    Q: <this question>
    A:

The choices are the answer and three other answers of the dialog, all of them spans of the section.
Questions without an answer are left out, as are those whose dialog has fewer than four answers. The
position of the right choice is a hash of the question's id.

Source: Choi et al., 2018 (arXiv 1808.07036). The choice among spans is ours.
"""

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset

NO_ANSWER = "CANNOTANSWER"
NUM_CHOICES = 4


def process_docs(dialogs: "Dataset") -> "Dataset":
    """Returns one row per question that has an answer."""
    from datasets import Dataset

    return Dataset.from_list([item for dialog in dialogs for item in items(dialog)])


def items(dialog: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields the items of a dialog: {id, context, prompt, choices, answer}."""
    section = dialog["context"].removesuffix(NO_ANSWER).strip()
    answers = [text.strip() for text in dialog["orig_answers"]["texts"]]
    turns = f"Title: {dialog['wikipedia_page_title']} - {dialog['section_title']}\n{section}\n"
    questions = zip(dialog["turn_ids"], dialog["questions"], answers, strict=True)
    for number, (turn, question, answer) in enumerate(questions):
        turns += f"Q: {question.strip()}\n"
        others = _others(answers, number)
        if answer != NO_ANSWER and len(others) == NUM_CHOICES - 1:
            place = hashlib.sha256(turn.encode()).digest()[0] % NUM_CHOICES
            yield {
                "id": turn,
                "context": section,
                "prompt": f"{turns}A:",
                "choices": [*others[:place], answer, *others[place:]],
                "answer": place,
            }
        turns += f"A: {'No answer.' if answer == NO_ANSWER else answer}\n"


def _others(answers: list[str], number: int) -> list[str]:
    """Returns the next answers in the dialog that differ from this one, around its end."""
    following = [*answers[number + 1 :], *answers[:number]]
    kept = (a for a in following if a not in (answers[number], NO_ANSWER))
    return list(dict.fromkeys(kept))[: NUM_CHOICES - 1]
