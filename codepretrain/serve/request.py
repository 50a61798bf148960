"""A request for completions: its fields, their limits, and the tokens of its prompts.

The fields are those of OpenAI's completions, with `top_k` besides. What is not supported is
refused, except where the value given is the one that changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from codepretrain.serve.api_error import ApiError, wrong
from codepretrain.serve.fields import check_names, flag, number, shown, text, whole

MAX_TOP = 5  # alternatives per position in `logprobs`
MAX_SAMPLES = 128  # completions of a prompt
MAX_STOPS = 64
_LEAST_TEMPERATURE, _GREATEST_TEMPERATURE = 1e-3, 100.0
_SEEDS = 1 << 32
# Fields that are accepted with the values that change nothing.
_INERT: Mapping[str, tuple[Any, ...]] = {
    "best_of": (None, 1),
    "frequency_penalty": (None, 0),
    "presence_penalty": (None, 0),
    "logit_bias": (None, {}),
    "stream_options": (None,),
    "suffix": (None,),
}
_FIELDS = (
    *("model", "prompt", "max_tokens", "temperature", "top_p", "top_k", "seed", "n", "stop"),
    *("logprobs", "echo", "stream", "user", *_INERT),
)


class Tokenizer(Protocol):
    """What a request needs of `evals/harness/tokenizer.py`."""

    bos: int

    def encode(self, text: str, /) -> list[int]: ...


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What this server can do.

    Attributes:
      window: tokens of a prompt and its completion together.
      bytes_per_token: of the longest token: texts that cannot fit are not tokenized.
      tokens_per_request: of all prompts and completions.
    """

    window: int
    vocab_size: int
    bytes_per_token: int
    tokens_per_request: int


@dataclass(frozen=True)
class Prompt:
    """The tokens that the model reads, the first `num_added` of which the client did not send.

    A text, and an empty list of tokens, is read after bos, as in training.
    """

    tokens: tuple[int, ...]
    num_added: int


@dataclass(frozen=True, kw_only=True)
class CompletionRequest:
    """A valid request.

    Attributes:
      temperature: 0: the most probable token each time.
      seed: None: the server draws one.
      num_samples: completions of each prompt.
      num_top: alternatives per position; None: no log-probabilities are wanted.
      echo: the prompt is part of the text.
    """

    model: str | None
    prompts: tuple[Prompt, ...]
    max_tokens: int
    temperature: float
    top_p: float
    top_k: int | None
    seed: int | None
    num_samples: int
    stops: tuple[str, ...]
    num_top: int | None
    echo: bool

    @property
    def is_generated(self) -> bool:
        """Whether it takes more than the probabilities of its prompts' tokens and the next one."""
        return self.max_tokens > (0 if self.temperature else 1)


def read_request(
    values: Mapping[str, Any], tokenizer: Tokenizer, limits: Limits
) -> CompletionRequest:
    """Returns the request in a JSON object.

    Raises:
      ApiError: a field is unknown, not supported, or out of range; or it asks for too much.
    """
    check_names(values, _FIELDS)
    _check_unsupported(values)
    max_tokens = whole(values, "max_tokens", 16, 0, limits.window)
    request = CompletionRequest(
        model=None if values.get("model") is None else text(values["model"], "model"),
        prompts=_prompts(values, tokenizer, limits),
        max_tokens=max_tokens,
        temperature=_temperature(values),
        top_p=_top_p(values),
        top_k=None if values.get("top_k") in (None, -1) else whole(values, "top_k", 1, 1, _SEEDS),
        seed=None if values.get("seed") is None else whole(values, "seed", 0, 0, _SEEDS - 1),
        num_samples=whole(values, "n", 1, 1, MAX_SAMPLES),
        stops=_stops(values.get("stop")),
        num_top=None
        if values.get("logprobs") is None
        else whole(values, "logprobs", 0, 0, MAX_TOP),
        echo=flag(values, "echo"),
    )
    if not max_tokens and not request.echo:
        raise ApiError(
            400, "max_tokens: 0 writes nothing: give 1 or more, or echo: true", field="max_tokens"
        )
    _check_size(request, limits)
    return request


def _check_unsupported(values: Mapping[str, Any]) -> None:
    if flag(values, "stream"):
        raise ApiError(
            400, "stream: not supported by this server: send stream: false", field="stream"
        )
    for name, allowed in _INERT.items():
        value = values.get(name)
        if isinstance(value, bool) or value not in allowed:
            raise ApiError(400, f"{name}: not supported by this server: leave it out", field=name)


def _temperature(values: Mapping[str, Any]) -> float:
    expected = f"0, or a number from {_LEAST_TEMPERATURE} to {_GREATEST_TEMPERATURE:g}"
    value = number(values, "temperature", 1.0, expected)
    if value and not _LEAST_TEMPERATURE <= value <= _GREATEST_TEMPERATURE:
        raise wrong("temperature", expected, shown(value))
    return value


def _top_p(values: Mapping[str, Any]) -> float:
    expected = "a number above 0, at most 1"
    value = number(values, "top_p", 1.0, expected)
    if not 0 < value <= 1:
        raise wrong("top_p", expected, shown(value))
    return value


def _stops(value: Any) -> tuple[str, ...]:
    given = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(given, list) or len(given) > MAX_STOPS:
        raise wrong("stop", f"a string, or a list of at most {MAX_STOPS} strings", shown(value))
    stops = tuple(text(one, "stop") for one in given)
    if "" in stops:
        raise wrong("stop", "strings of at least one character", "an empty string")
    return stops


def _prompts(values: Mapping[str, Any], tokenizer: Tokenizer, limits: Limits) -> tuple[Prompt, ...]:
    value = values.get("prompt")
    expected = "a text, a list of texts, a list of token ids, or a list of such lists"
    if value is None:
        raise ApiError(400, f"prompt is missing: expected {expected}", field="prompt")
    is_ids = isinstance(value, list) and value and all(type(one) is int for one in value)
    if isinstance(value, str) or is_ids:
        value = [value]
    if not isinstance(value, list) or not value:
        raise wrong("prompt", expected, shown(value))
    if len({type(one) for one in value}) > 1 or type(value[0]) not in (str, list):
        raise wrong("prompt", expected, _kinds(value))
    if len(value) > limits.tokens_per_request:  # each has at least one; they may be millions
        raise _too_many(f"has {len(value):,} prompts", limits)
    if isinstance(value[0], str):
        return tuple(_of_text(text(one, "prompt"), tokenizer, limits) for one in value)
    return tuple(_of_ids(one, tokenizer.bos, limits, expected) for one in value)


def _of_text(prompt: str, tokenizer: Tokenizer, limits: Limits) -> Prompt:
    least = len(prompt.encode()) // limits.bytes_per_token
    if least > limits.window:
        raise _too_long(f"a prompt has {least:,} or more tokens", limits)
    tokens = tuple(tokenizer.encode(prompt))
    if tokens and max(tokens) >= limits.vocab_size:
        raise ApiError(500, "the tokenizer has more entries than the model")
    return Prompt((tokenizer.bos, *tokens), 1)


def _of_ids(ids: list[Any], bos: int, limits: Limits, expected: str) -> Prompt:
    for one in ids:
        if type(one) is not int:
            raise wrong("prompt", expected, f"a list with {shown(one)}")
        if not 0 <= one < limits.vocab_size:
            raise wrong("prompt", f"token ids from 0 to {limits.vocab_size - 1:,}", shown(one))
    return Prompt(tuple(ids), 0) if ids else Prompt((bos,), 1)


def _kinds(value: Sequence[Any]) -> str:
    names = {str: "texts", int: "numbers", list: "lists"}
    return f"a list of {' and '.join(sorted({names.get(type(v), 'other values') for v in value}))}"


def _check_size(request: CompletionRequest, limits: Limits) -> None:
    for number_, prompt in enumerate(request.prompts):
        needed = len(prompt.tokens) + request.max_tokens
        if needed > limits.window:
            which = f"prompt {number_}" if len(request.prompts) > 1 else "the prompt"
            raise _too_long(
                f"{which} has {len(prompt.tokens):,} tokens and max_tokens is "
                f"{request.max_tokens:,}, together {needed:,}",
                limits,
            )
    total = sum(
        len(prompt.tokens) + request.num_samples * request.max_tokens for prompt in request.prompts
    )
    if total > limits.tokens_per_request:
        raise _too_many(f"asks for {total:,} tokens, prompts included", limits)


def _too_many(what: str, limits: Limits) -> ApiError:
    return ApiError(
        400,
        f"the request {what}: expected at most {limits.tokens_per_request:,} tokens "
        "(--max-tokens-per-request); send fewer prompts at once",
        field="prompt",
    )


def _too_long(what: str, limits: Limits) -> ApiError:
    return ApiError(
        400,
        f"{what}: expected at most {limits.window:,}, the model's window; shorten the prompt or "
        "lower max_tokens",
        field="prompt",
        code="context_length_exceeded",
    )
