"""Computes the answers to requests, in one thread, which owns the devices.

    threads of the server      submit(request) → a future
    the thread of `run`        takes what waits, a round at a time:
                               1. log-probabilities of prompts: no token is written, or one greedy
                               2. greedy completions of all requests together
                               3. sampled completions, a request at a time, each with its own seed
                               4. log-probabilities of what 2 and 3 wrote

What a request gets does not depend on the requests beside it: rows do not see each other, and a
sampled request is a call of its own, so its random numbers are those of its own prompts.
"""

import queue
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import NamedTuple

from codepretrain.errors import described
from codepretrain.evals.language_model import Completion, LanguageModel, Sampling
from codepretrain.evals.language_model.token_scores import TokenScores
from codepretrain.model.transformer import Params
from codepretrain.serve.api_error import ApiError
from codepretrain.serve.request import CompletionRequest
from codepretrain.serve.rounds import Work, is_written, next_round
from codepretrain.serve.shapes import Shapes

MAX_WAITING = 1024  # requests; more are refused at once


class Answer(NamedTuple):
    """Of each prompt, one completion per sample, and the scores of prompt and completion."""

    completions: list[list[Completion]]
    scores: list[list[TokenScores | None]]
