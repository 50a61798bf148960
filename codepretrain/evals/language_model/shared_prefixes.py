"""Groups of sequences whose common prefix is computed once.

Multiple choice is the common case: the choices of a question share its text. Few-shot prompts and
the questions over one passage are others.

    sequence 1   a b c d|e f          their group:   prefix a b c, branches d e | d h | d i j
    sequence 2   a b c d|h k
    sequence 3   a b c d|i j k        | precedes the tokens whose probability is wanted

The input that predicts a wanted token lies in a branch, so only branches need logits. The last
token of a sequence is no input.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# Of a group, together. Their attention is the plain formula, which holds all scores.
MAX_BRANCH_TOKENS = 512


@dataclass(frozen=True)
class Scored:
    """A sequence of which the last `num_targets` tokens are to be scored.

    ids: int32, at least one more than there are targets.
    """

    ids: np.ndarray
    num_targets: int

    @property
    def num_inputs(self) -> int:
        return len(self.ids) - 1

    @property
    def num_free(self) -> int:
        """How many of its first inputs predict nothing that is wanted."""
        return self.num_inputs - self.num_targets

    def request(self) -> dict[str, Any]:
        """Returns all that decides its score beside the model, as a JSON value."""
        return {"tokens": self.ids.tolist(), "num_targets": self.num_targets}


@dataclass(frozen=True)
class Group:
    """Sequences, by number, that share a prefix; branch_tokens: inputs after it, of all of them."""

    numbers: tuple[int, ...]
    prefix_tokens: int
    branch_tokens: int

    @property
    def cost(self) -> int:
        """The positions to compute; a branch's count twice, since they need logits."""
        return self.prefix_tokens + 2 * self.branch_tokens


def group_prefixes(sequences: Sequence[Scored]) -> list[Group]:
    """Returns groups that cost less than their sequences would each alone.

    In lexicographic order those with long common prefixes are neighbors. Each joins the group
    before it if that then costs less than both apart.
    """
    order = sorted(range(len(sequences)), key=lambda n: sequences[n].ids.astype(">u4").tobytes())
    groups: list[Group] = []
    for number in order:
        joined = _joined(groups[-1], number, sequences) if groups else None
        if joined is None:
            groups.append(_alone(number, sequences[number]))
        else:
            groups[-1] = joined
    return groups


def _alone(number: int, one: Scored) -> Group:
    """Returns the group of one sequence; where most of it is scored, it has no prefix."""
    if one.num_targets > min(one.num_free, MAX_BRANCH_TOKENS):
        return Group((number,), 0, one.num_inputs)
    return Group((number,), one.num_free, one.num_targets)


def _joined(group: Group, number: int, sequences: Sequence[Scored]) -> Group | None:
    """Returns the group with one more sequence, None if that saves nothing or is too large."""
    one, size = sequences[number], len(group.numbers)
    first, last = sequences[group.numbers[0]], sequences[group.numbers[-1]]
    shared = first.num_free if size == 1 else group.prefix_tokens
    prefix = min(shared, one.num_free, _common_prefix(last.ids, one.ids))
    num_inputs = group.prefix_tokens * size + group.branch_tokens + one.num_inputs
    joined = Group((*group.numbers, number), prefix, num_inputs - prefix * (size + 1))
    if joined.branch_tokens > MAX_BRANCH_TOKENS:
        return None
    return joined if joined.cost < group.cost + _alone(number, one).cost else None


def _common_prefix(first: np.ndarray, second: np.ndarray) -> int:
    """Returns how many tokens two sequences have in common at their start."""
    length = min(len(first), len(second))
    differs = first[:length] != second[:length]
    return int(differs.argmax()) if differs.any() else length
