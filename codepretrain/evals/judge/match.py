"""A match: two completions of one prompt, judged once in each order.

A judge may prefer what it reads first. So every match is judged twice, with either completion
first, and the preference cancels in the mean of the two.
"""

from dataclasses import dataclass
from typing import Literal

Choice = Literal["first", "second", "tie"]
Outcome = Literal["win", "tie", "loss", "unreadable"]

# The number of the completion that is shown first: 0, the variant's; 1, the reference's.
ORDERS = (0, 1)


@dataclass(frozen=True)
class Match:
    """The completions of a variant and of its reference, for one prompt."""

    id: str
    category: str
    prompt: str
    completions: tuple[str, str]

    @property
    def is_identical(self) -> bool:
        """Whether both are the same text: a tie, which no judge is asked about."""
        return self.completions[0] == self.completions[1]

    def shown(self, order: int) -> tuple[str, str]:
        """Returns the completions as the judge reads them."""
        return self.completions if order == 0 else self.completions[::-1]


@dataclass(frozen=True)
class Judgment:
    """The outcomes of a match for the variant, in the order of `ORDERS`.

    None: the judge was not reached, so the match is not judged yet. is_asked: False for a tie of
    identical completions.
    """

    id: str
    category: str
    outcomes: tuple[Outcome | None, Outcome | None]
    is_asked: bool = True

    @property
    def is_complete(self) -> bool:
        return None not in self.outcomes


def outcome(choice: Choice | None, order: int) -> Outcome:
    """Returns what a choice means for the variant; None is an answer without a verdict."""
    if choice is None:
        return "unreadable"
    if choice == "tie":
        return "tie"
    return "win" if (choice == "first") == (order == 0) else "loss"


def identical(match: Match) -> Judgment:
    """Returns the tie of a match whose completions are the same."""
    assert match.is_identical, match.id
    return Judgment(match.id, match.category, ("tie", "tie"), is_asked=False)
