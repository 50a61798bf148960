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


def written_tokens(completion: Completion, eos: int) -> list[int]:
    """Returns all tokens that the model wrote: a completion does not list the eos that ends it.

    Clients count on it. The one of lm-evaluation-harness asks for one token with each prompt and
    leaves the last one of the list out, as the one that was written.
    """
    return [*completion.tokens, eos] if completion.reason == "eos" else completion.tokens


class Job:
    """A request that waits for its answer. Jobs are equal only if they are the same."""

    def __init__(self, request: CompletionRequest) -> None:
        self.request = request
        self.future: Future[Answer] = Future()
        self.is_abandoned = False  # nobody waits for it any more; set by any thread
