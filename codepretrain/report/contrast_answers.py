"""Registered contrasts as answers to the questions that the study file asks with them.

For a reader who decides rather than measures: yes, no, or not decided, and how much. Guards come
last: they are the price of what stands above them.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from codepretrain.report.contrast_result import ContrastResult
from codepretrain.report.contrast_rows import (
    contrast_overview,
    ends,
    outcome,
    percent,
    points,
    unit_text,
    unsigned,
)
from codepretrain.report.registered import counted

_UNKNOWN = ("not decided", "inconclusive")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A question with its answer.

    Attributes:
      answer: "Yes", "No" with its kind, or that it is not decided.
      numbers: the difference with its interval, "" where nothing was measured.
      note: how it compares with the smallest effect of interest, or with what is tolerated.
      outcome: the class of the answer on the page.
    """

    name: str
    question: str
    answer: str
    numbers: str
    note: str
    outcome: str


def answers(results: Sequence[ContrastResult]) -> list[Answer]:
    """Returns the answers of the contrasts that have a question."""
    asked = [one for one in results if one.config.question]
    asked.sort(key=lambda one: one.config.guarded is not None)
    return [
        Answer(
            name=one.name.replace("_", " "),
            question=one.config.question or "",
            answer=answer_of(one),
            numbers=_numbers(one),
            note=_note(one),
            outcome=answer_outcome(one),
        )
        for one in asked
    ]


def answer_outcome(one: ContrastResult) -> str:
    """Returns the class of an answer on the page: a difference that does not matter is no find."""
    return "not-distinguishable" if _is_no_difference(one) else outcome(one)


def lead(results: Sequence[ContrastResult]) -> str:
    """Returns how the questions of a study are answered, or its contrasts decided."""
    if not all(one.config.question for one in results):
        return contrast_overview(results)
    counts = Counter(answer_of(one).partition(",")[0] for one in results)
    words = {
        "Yes": "answered yes",
        "No": "answered no",
        "Not known yet": "not known yet",
        "Not decided by these runs": "not decided by these runs",
    }
    spelled = ", ".join(f"{counts[key]} {text}" for key, text in words.items() if counts[key])
    return f"Of {counted(results, 'questions')}: {spelled}."


def print_answers(console: Console, results: Sequence[ContrastResult], *, width: int) -> None:
    """Prints a line for every question."""
    found = answers(results)
    if found:
        console.print(Text("\nanswers", style="bold"))
    for one in found:
        rest = "; ".join(text for text in (one.numbers, one.note) if text)
        console.print(
            Text(f"{one.question} {one.answer}: {rest}.".replace(": .", ".")), width=width
        )


def _is_no_difference(one: ContrastResult) -> bool:
    return one.decision == "equivalent" != one.config.direction


def answer_of(one: ContrastResult) -> str:
    """Returns "Yes", "No" with its kind, or that it is not decided."""
    if one.missing:
        return "Not known yet"
    if one.decision == "confirmed" or one.config.direction == one.decision == "equivalent":
        return "Yes"
    if one.decision == "opposite":
        return "No" if one.config.guarded else "No, the opposite"
    if _is_no_difference(one):
        return "No, there is no difference that matters"
    return "Not decided by these runs"


def _numbers(one: ContrastResult) -> str:
    if one.missing:
        return one.missing
    text = f"{points(one.row, one.value)} {unit_text(one.row)} ({ends(one.row, one.interval)})"
    share, _ = percent(one.effects.relative)
    return f"{text}, {share}" if one.effects.relative is not None else text


def _note(one: ContrastResult) -> str:
    """Returns how the interval compares with the margin; "" without either."""
    margin, low, high = one.config.margin, one.interval.low, one.interval.high
    if one.missing or margin is None or not (math.isfinite(low) and math.isfinite(high)):
        return ""
    spelled = f"{unsigned(one.row, margin)} {unit_text(one.row)}"
    if one.config.guarded:
        return f"tolerated: {spelled}"
    if one.decision in _UNKNOWN:
        return ""
    of_interest = f"than the smallest effect of interest, {spelled}"
    if low >= margin or high <= -margin:
        return f"surely more {of_interest}"
    if -margin < low and high < margin:
        return f"surely less {of_interest}"
    return f"perhaps less {of_interest}"
