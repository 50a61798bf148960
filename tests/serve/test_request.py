from typing import Any

import pytest

from codepretrain.evals.harness.tokenizer import TextTokenizer
from codepretrain.serve.api_error import ApiError
from codepretrain.serve.request import CompletionRequest, Limits, Prompt, read_request
from tests.serve.conftest import request_values

PROMPT = "a text, a list of texts, a list of token ids, or a list of such lists"
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"prompt": None}, f"prompt is missing: expected {PROMPT}"),
    ({"prompt": []}, f"prompt: expected {PROMPT}, found a list of 0"),
    ({"prompt": 7}, f"prompt: expected {PROMPT}, found 7"),
    ({"prompt": {"a": 1}}, f"prompt: expected {PROMPT}, found an object"),
    ({"prompt": True}, f"prompt: expected {PROMPT}, found true"),
    ({"prompt": ["a", 7]}, "found a list of numbers and texts"),
    ({"prompt": ["a", [7]]}, "found a list of lists and texts"),
    ({"prompt": [7, True]}, "found a list of numbers and other values"),
    ({"prompt": [[7, "a"]]}, "found a list with 'a'"),
    ({"prompt": [[7, 1.0]]}, "found a list with 1.0"),
    ({"prompt": [320]}, "prompt: expected token ids from 0 to 319, found 320"),
    ({"prompt": [[5], [-1]]}, "prompt: expected token ids from 0 to 319, found -1"),
    ({"prompt": "\ud800"}, "prompt: expected Unicode text, found a lone surrogate"),
    ({"max_tokens": -1}, "max_tokens: expected a whole number from 0 to 64, found -1"),
    ({"max_tokens": 65}, "max_tokens: expected a whole number from 0 to 64, found 65"),
    ({"max_tokens": 4.0}, "max_tokens: expected a whole number from 0 to 64, found 4.0"),
    ({"max_tokens": "4"}, "max_tokens: expected a whole number from 0 to 64, found '4'"),
    ({"max_tokens": True}, "max_tokens: expected a whole number from 0 to 64, found true"),
    ({"max_tokens": 0}, "max_tokens: 0 writes nothing: give 1 or more, or echo: true"),
    ({"temperature": -1}, "temperature: expected 0, or a number from 0.001 to 100, found -1.0"),
    ({"temperature": 1e-9}, "temperature: expected 0, or a number from 0.001 to 100"),
    (
        {"temperature": 10**400},
        "temperature: expected 0, or a number from 0.001 to 100, found 1000",
    ),
    ({"temperature": "hot"}, "temperature: expected 0, or a number from 0.001 to 100, found 'hot'"),
    ({"top_p": 0}, "top_p: expected a number above 0, at most 1, found 0.0"),
    ({"top_p": 1.1}, "top_p: expected a number above 0, at most 1, found 1.1"),
    ({"top_k": 0}, "top_k: expected a whole number from 1"),
    ({"seed": -1}, "seed: expected a whole number from 0 to 4,294,967,295, found -1"),
    ({"seed": 2**32}, "seed: expected a whole number from 0 to 4,294,967,295"),
    ({"n": 0}, "n: expected a whole number from 1 to 128, found 0"),
    ({"n": 129}, "n: expected a whole number from 1 to 128, found 129"),
    ({"stop": 7}, "stop: expected a string, or a list of at most 64 strings, found 7"),
    (
        {"stop": ["a"] * 65},
        "stop: expected a string, or a list of at most 64 strings, found a list",
    ),
    (
        {"stop": ["a", ""]},
        "stop: expected strings of at least one character, found an empty string",
    ),
    ({"stop": ""}, "stop: expected strings of at least one character, found an empty string"),
    ({"stop": ["a", 7]}, "stop: expected a string, found 7"),
    ({"logprobs": 6}, "logprobs: expected a whole number from 0 to 5, found 6"),
    ({"logprobs": True}, "logprobs: expected a whole number from 0 to 5, found true"),
    ({"echo": 1}, "echo: expected true or false, found 1"),
    ({"stream": True}, "stream: not supported by this server: send stream: false"),
    ({"stream": "no"}, "stream: expected true or false, found 'no'"),
    ({"suffix": "x"}, "suffix: not supported by this server: leave it out"),
    ({"best_of": 2}, "best_of: not supported by this server: leave it out"),
    ({"best_of": True}, "best_of: not supported by this server: leave it out"),
    ({"logit_bias": {"50256": -100}}, "logit_bias: not supported by this server: leave it out"),
    ({"presence_penalty": 0.5}, "presence_penalty: not supported by this server: leave it out"),
    ({"model": 7}, "model: expected a string, found 7"),
    ({"max_token": 4}, "unknown field 'max_token'; did you mean max_tokens?"),
    ({"": 4}, "unknown field ''; expected one of: model, prompt"),
    ({"x" * 5000: 4}, "unknown field 'xxx"),
]
TOO_MUCH: list[tuple[dict[str, Any], str]] = [
    (
        {"prompt": [5] * 61},
        "the prompt has 61 tokens and max_tokens is 4, together 65: expected at most 64, the "
        "model's window; shorten the prompt or lower max_tokens",
    ),
    ({"prompt": [[5], [5] * 61]}, "prompt 1 has 61 tokens and max_tokens is 4, together 65"),
    ({"n": 128, "max_tokens": 8}, "(--max-tokens-per-request); send fewer prompts at once"),
]


def read(tokenizer: TextTokenizer, limits: Limits, **values: Any) -> CompletionRequest:
    return read_request(request_values(**values), tokenizer, limits)


@pytest.mark.parametrize(("values", "message"), WRONG, ids=lambda value: str(value)[:40])
def test_a_wrong_value_names_its_field(
    tokenizer: TextTokenizer, limits: Limits, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ApiError) as caught:
        read(tokenizer, limits, **values)
    assert message in caught.value.message
    assert caught.value.status == 400
    assert caught.value.field == next(iter(values))[:80]
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 600


@pytest.mark.parametrize(("values", "message"), TOO_MUCH)
def test_more_than_the_window_or_the_request_may_hold(
    tokenizer: TextTokenizer, limits: Limits, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ApiError) as caught:
        read(tokenizer, limits, **values)
    assert message in caught.value.message
    assert caught.value.status == 400


def test_the_limits_are_inclusive(tokenizer: TextTokenizer, limits: Limits) -> None:
    assert len(read(tokenizer, limits, prompt=[5] * 60).prompts[0].tokens) == 60
    assert len(read(tokenizer, limits, prompt=[[5] * 46] * 20).prompts) == 20  # 1,000 tokens
    with pytest.raises(ApiError, match="1,001 tokens"):
        read(tokenizer, limits, prompt=[*[[5] * 46] * 19, [5] * 47])


def test_a_text_that_cannot_fit_is_not_tokenized(limits: Limits) -> None:
    """The longest token has `bytes_per_token` bytes."""

    class Unused:
        bos = 1

        def encode(self, text: str) -> list[int]:
            raise AssertionError("this may take seconds")

    num_bytes = limits.bytes_per_token * (limits.window + 1)
    with pytest.raises(ApiError, match="a prompt has 65 or more tokens: expected at most 64"):
        read_request(request_values(prompt="x" * num_bytes), Unused(), limits)
    with pytest.raises(AssertionError):
        read_request(request_values(prompt="x" * (num_bytes - 1)), Unused(), limits)


def test_more_prompts_than_tokens_are_not_read(limits: Limits) -> None:
    """A small body may hold millions of them."""

    class Never:
        bos = 0

        def encode(self, text: str, /) -> list[int]:
            raise AssertionError("tokenized")

    prompts: list[Any] = ["", []]
    for prompt in prompts:
        many = [prompt] * (limits.tokens_per_request + 1)
        with pytest.raises(ApiError, match="1,001 prompts: expected at most 1,000 tokens"):
            read_request({"prompt": many}, Never(), limits)


def test_the_forms_of_prompts(tokenizer: TextTokenizer, limits: Limits) -> None:
    river = Prompt((tokenizer.bos, *tokenizer.encode("The river")), 1)
    long = Prompt((tokenizer.bos, *tokenizer.encode(" is long")), 1)
    for value, expected in [
        ("The river", (river,)),
        (["The river"], (river,)),
        (["The river", " is long"], (river, long)),
        ("", (Prompt((tokenizer.bos,), 1),)),
        ([7, 8], (Prompt((7, 8), 0),)),
        ([[7, 8]], (Prompt((7, 8), 0),)),
        ([[7, 8], [9]], (Prompt((7, 8), 0), Prompt((9,), 0))),
        ([[]], (Prompt((tokenizer.bos,), 1),)),
        ([tokenizer.bos], (Prompt((tokenizer.bos,), 0),)),
    ]:
        assert read(tokenizer, limits, prompt=value).prompts == expected, value


def test_what_is_left_out_is_as_in_the_api(tokenizer: TextTokenizer, limits: Limits) -> None:
    request = read_request({"prompt": "x"}, tokenizer, limits)
    assert (request.max_tokens, request.temperature, request.top_p) == (16, 1.0, 1.0)
    assert (request.num_samples, request.stops, request.echo) == (1, (), False)
    assert request.num_top is request.top_k is request.seed is request.model is None


def test_values_that_change_nothing_are_accepted(tokenizer: TextTokenizer, limits: Limits) -> None:
    """Clients send every field that they know."""
    inert = {
        "best_of": 1,
        "frequency_penalty": 0.0,
        "presence_penalty": 0,
        "logit_bias": {},
        "suffix": None,
        "stream": False,
        "stream_options": None,
        "user": "someone",
        "stop": None,
        "logprobs": None,
        "top_k": -1,
    }
    assert read(tokenizer, limits, **inert) == read(tokenizer, limits)


def test_text_that_spells_a_special_token_stays_text(
    tokenizer: TextTokenizer, limits: Limits
) -> None:
    [prompt] = read(tokenizer, limits, prompt="<|eos|>").prompts
    assert len(prompt.tokens) > 2
    assert tokenizer.eos not in prompt.tokens


def test_what_is_generated_and_what_is_only_scored(
    tokenizer: TextTokenizer, limits: Limits
) -> None:
    cases: list[tuple[dict[str, Any], bool]] = [
        ({"max_tokens": 0, "echo": True}, False),
        ({"max_tokens": 0, "echo": True, "temperature": 1}, False),
        ({"max_tokens": 1, "temperature": 0}, False),
        ({"max_tokens": 1, "temperature": 0.5}, True),
        ({"max_tokens": 2, "temperature": 0}, True),
    ]
    for values, expected in cases:
        assert read(tokenizer, limits, **values).is_generated == expected, values
