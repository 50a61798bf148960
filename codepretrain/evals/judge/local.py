"""A language model of ours as a judge: no network, no cost, and little judgment.

The judge reads the request and both completions, and the text ends where a verdict would follow.
The completion whose number is more probable is chosen:

    first   if log p(" 1" | text) > log p(" 2" | text)

There are no reasons and no ties, except between equal probabilities. A model of the sizes of this
project was never taught to compare answers: expect it to follow the order, the length or the
wording of the completions more than the criteria. Both orders are judged, so a preference for a
number cancels, and the share of verdicts that change with the order says how much there was of it.
Use it to try a pipeline, or a judge that was trained for this; not for a conclusion about recipes.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from codepretrain.evals.judge.match import ORDERS, Choice, Judgment, Match, identical, outcome
from codepretrain.evals.progress import Progress, no_progress

if TYPE_CHECKING:
    from codepretrain.evals.language_model import LanguageModel
    from codepretrain.model.transformer import Params

PROMPT_VERSION = "1"  # changes with every word of the texts below
_TEXT = """\
Which of two answers to a request is better? The better one reasons correctly, does what the \
request asks for, is true and easy to understand, and is written fluently.

Request:
{request}

Answer 1:
{first}

Answer 2:
{second}

Answers 1 and 2 were compared. The better one is answer"""
VERDICTS = (" 1", " 2")


class Tokenizer(Protocol):
    """Text to token ids, without bos and eos, and back."""

    def encode(self, text: str) -> list[int]: ...

    def decode(self, ids: Sequence[int]) -> str: ...


def identity(model: dict[str, Any]) -> dict[str, Any]:
    """Returns what decides the verdicts; `model` says which parameters judge."""
    return {"kind": "local", **model, "prompt_version": PROMPT_VERSION}


class LocalJudge:
    """Matches → judgments, by a model's probabilities of the two verdicts."""

    def __init__(self, model: "LanguageModel", tokenizer: Tokenizer) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._verdicts = [tokenizer.encode(text) for text in VERDICTS]
        self._room = model.max_seq_len + 1 - max(map(len, self._verdicts))
        self.num_shortened = 0

    def __call__(
        self, params: "Params", matches: Sequence[Match], progress: Progress = no_progress
    ) -> list[Judgment]:
        """Returns the judgments; `num_shortened` counts the matches that did not fit a row.

        Both completions of such a match are cut at their ends, to the same number of tokens.
        """
        asked = [match for match in matches if not match.is_identical]
        contexts = [self._context(match, order) for match in asked for order in ORDERS]
        scores = self._model.score(
            params,
            [context for context in contexts for _ in self._verdicts],
            [verdict for _ in contexts for verdict in self._verdicts],
            progress=progress,
        ).log_probabilities.reshape(len(contexts), 2)
        self.num_shortened = sum(self._is_shortened(match) for match in asked)
        choices = iter([_choice(one, two) for one, two in scores.tolist()])
        return [
            identical(match) if match.is_identical else _judgment(match, choices)
            for match in matches
        ]

    def _is_shortened(self, match: Match) -> bool:
        return len(self._ids(match.prompt, *match.completions)) > self._room

    def _context(self, match: Match, order: int) -> list[int]:
        first, second = match.shown(order)
        ids = self._ids(match.prompt, first, second)
        if len(ids) <= self._room:
            return ids
        around = len(self._ids(match.prompt, "", ""))
        most = max(0, (self._room - around) // 2)
        while most and len(ids) > self._room:  # joined texts may have other tokens
            ids = self._ids(match.prompt, self._cut(first, most), self._cut(second, most))
            most -= max(1, most // 16)
        return ids[-self._room :]

    def _cut(self, text: str, num_tokens: int) -> str:
        return self._tokenizer.decode(self._tokenizer.encode(text)[:num_tokens])

    def _ids(self, prompt: str, first: str, second: str) -> list[int]:
        text = _TEXT.format(request=prompt.strip(), first=first.strip(), second=second.strip())
        return [self._model.vocabulary.bos, *self._tokenizer.encode(text)]


def _choice(first: float, second: float) -> Choice:
    if first == second:
        return "tie"
    return "first" if first > second else "second"


def _judgment(match: Match, choices: Iterator[Choice]) -> Judgment:
    """Returns the judgment of the next two choices, one for each order."""
    outcomes = outcome(next(choices), 0), outcome(next(choices), 1)
    return Judgment(match.id, match.category, outcomes)
