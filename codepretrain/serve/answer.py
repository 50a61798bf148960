"""The response to a request for completions, from what the model wrote."""

import math
import time
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from codepretrain.serve.api_error import ApiError
from codepretrain.serve.job import written_tokens
from codepretrain.serve.pieces import Pieces
from codepretrain.serve.request import CompletionRequest, Prompt

if TYPE_CHECKING:
    from codepretrain.evals.language_model import Completion
    from codepretrain.evals.language_model.token_scores import TokenScores


def response(
    request: CompletionRequest,
    completions: "Sequence[Sequence[Completion]]",
    scores: "Sequence[Sequence[TokenScores | None]]",
    *,
    pieces: Pieces,
    model: str,
) -> dict[str, Any]:
    """Returns the body of the response.

    Args:
      completions: of each prompt, one per sample.
      scores: of the tokens of each prompt and completion together; None without `logprobs`.

    Raises:
      ApiError: a log-probability is not finite.
    """
    choices = [
        _choice(request, prompt, completion, score, pieces)
        for prompt, of_prompt, scored in zip(request.prompts, completions, scores, strict=True)
        for completion, score in zip(of_prompt, scored, strict=True)
    ]
    num_prompt = sum(len(prompt.tokens) for prompt in request.prompts)
    num_new = sum(
        len(written_tokens(one, pieces.eos)) for of_prompt in completions for one in of_prompt
    )
    return {
        "id": f"cmpl-{uuid.uuid4().hex}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": model,
        "choices": [{"index": index, **choice} for index, choice in enumerate(choices)],
        "usage": {
            "prompt_tokens": num_prompt,
            "completion_tokens": num_new,
            "total_tokens": num_prompt + num_new,
        },
    }


def _choice(
    request: CompletionRequest,
    prompt: Prompt,
    completion: "Completion",
    scores: "TokenScores | None",
    pieces: Pieces,
) -> dict[str, Any]:
    echoed = prompt.tokens[prompt.num_added :] if request.echo else ()
    logprobs = None
    if request.num_top is not None:
        assert scores is not None
        first = prompt.num_added if request.echo else len(prompt.tokens)
        tokens = [*echoed, *_visible(completion, pieces)]
        logprobs = _logprobs(tokens, scores, first=first, num_top=request.num_top, pieces=pieces)
    return {
        "text": pieces.text(echoed, completion.text),
        "logprobs": logprobs,
        "finish_reason": "length" if completion.reason == "length" else "stop",
    }


def _visible(completion: "Completion", pieces: Pieces) -> list[int]:
    """Returns the tokens of a completion that begin before its text ends, at a stop string."""
    if completion.reason != "stop":
        return written_tokens(completion, pieces.eos)
    visible, num_bytes = [], 0
    for token in completion.tokens:
        if num_bytes >= len(completion.text):
            break
        visible.append(token)
        num_bytes += pieces.num_bytes(token)
    return visible


def _logprobs(
    tokens: Sequence[int], scores: "TokenScores", *, first: int, num_top: int, pieces: Pieces
) -> dict[str, Any]:
    """Returns the field `logprobs` of tokens that stand in a sequence from place `first` on."""
    log_probabilities: list[float | None] = []
    tops: list[dict[str, float] | None] = []
    for place, token in enumerate(tokens, start=first):
        if place == 0:  # nothing precedes it
            log_probabilities.append(None)
            tops.append(None)
            continue
        log_probability = float(scores.log_probabilities[place])
        if not math.isfinite(log_probability):
            raise ApiError(500, "the checkpoint's log-probabilities are not finite numbers")
        log_probabilities.append(log_probability)
        best = zip(
            scores.top_ids[place].tolist(),
            scores.top_log_probabilities[place].tolist(),
            strict=True,
        )
        top: dict[str, float] = {}
        for other, value in [*[*best][:num_top], (token, log_probability)]:
            top.setdefault(pieces.name(other), value)  # of two with one name the more probable
        tops.append(top)
    return {
        "tokens": [pieces.name(token) for token in tokens],
        "token_logprobs": log_probabilities,
        "top_logprobs": tops if num_top else None,
        "text_offset": pieces.offsets(tokens),
    }
