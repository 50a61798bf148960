"""A request on its way through the engine, and its answer."""

from concurrent.futures import Future
from typing import NamedTuple

from codepretrain.evals.language_model import Completion, TokenScores
from codepretrain.serve.request import CompletionRequest


class Answer(NamedTuple):
    """Of each prompt, one completion per sample, and the scores of prompt and completion.

    The scores are None if the request asks for no log-probabilities.
    """

    completions: list[list[Completion]]
    scores: list[list[TokenScores | None]]


class Job:
    """A request that waits for its answer. Jobs are equal only if they are the same."""

    def __init__(self, request: CompletionRequest) -> None:
        self.request = request
        self.future: Future[Answer] = Future()
        self.is_abandoned = False  # nobody waits for it any more; set by any thread
