"""The log-probabilities and texts that a client gets, against the language model's."""

import itertools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from codepretrain.evals.harness.tokenizer import TextTokenizer
from codepretrain.evals.language_model import LanguageModel, Sampling
from codepretrain.model.transformer import Params
from codepretrain.rows.vocabulary import Vocabulary
from codepretrain.serve.app import Served
from codepretrain.serve.compute import Compute
from codepretrain.serve.engine import Engine
from codepretrain.serve.pieces import Pieces
from tests.serve.conftest import Endpoint, serving

TEXT = "The river is été: 12"


def test_the_sum_of_the_echoed_log_probabilities_is_the_score(
    endpoint: Endpoint, model: LanguageModel, params: Params, tokenizer: TextTokenizer
) -> None:
    """A text is read after bos, so its first token has a probability as well."""
    ids = tokenizer.encode(TEXT)
    scores = model.score(params, [[tokenizer.bos]], [ids])
    [choice] = endpoint.choices(prompt=TEXT, max_tokens=0, echo=True, logprobs=0)
    logprobs = choice["logprobs"]
    assert len(logprobs["token_logprobs"]) == len(ids)
    assert sum(logprobs["token_logprobs"]) == pytest.approx(scores.log_probabilities[0], abs=1e-5)
    assert choice["text"] == TEXT
    assert "".join(logprobs["tokens"]) == TEXT
    assert choice["finish_reason"] == "length"
    assert logprobs["top_logprobs"] is None
    offsets = [*logprobs["text_offset"], len(TEXT)]
    pieces = [TEXT[a:b] for a, b in itertools.pairwise(offsets)]
    assert pieces == logprobs["tokens"]


def test_token_ids_are_listed_as_they_are_and_the_first_has_no_probability(
    endpoint: Endpoint, model: LanguageModel, params: Params, pieces: Pieces, vocabulary: Vocabulary
) -> None:
    ids = [vocabulary.bos, 100, 7, vocabulary.eos, 9]
    [scores] = model.token_scores(params, [ids], num_top=5)
    [choice] = endpoint.choices(prompt=ids, max_tokens=0, echo=True, logprobs=3)
    logprobs = choice["logprobs"]
    assert logprobs["tokens"] == [pieces.name(token) for token in ids]
    assert logprobs["tokens"][0] == "<|bos|>"
    assert logprobs["token_logprobs"][0] is logprobs["top_logprobs"][0] is None
    np.testing.assert_array_equal(logprobs["token_logprobs"][1:], scores.log_probabilities[1:])
    for place in range(1, len(ids)):
        best = scores.top_ids[place, :3].tolist()
        expected = dict(
            zip(
                map(pieces.name, best),
                scores.top_log_probabilities[place, :3].tolist(),
                strict=True,
            )
        )
        expected.setdefault(pieces.name(ids[place]), logprobs["token_logprobs"][place])
        assert logprobs["top_logprobs"][place] == expected
    assert choice["text"] == pieces.text(ids)


def test_greedy_completions_are_those_of_generate(
    endpoint: Endpoint, model: LanguageModel, params: Params, tokenizer: TextTokenizer
) -> None:
    texts = [TEXT, "", "def f(x):\n", "return"]
    prompts = [[tokenizer.bos, *tokenizer.encode(text)] for text in texts]
    expected = model.generate(params, prompts, max_new_tokens=9)
    choices = endpoint.choices(prompt=texts, max_tokens=9)
    assert [choice["index"] for choice in choices] == [0, 1, 2, 3]
    for choice, [completion] in zip(choices, expected, strict=True):
        assert choice["text"] == completion.text.decode(errors="replace")
        assert choice["finish_reason"] == ("length" if completion.reason == "length" else "stop")


def test_one_greedy_token_is_that_of_many(endpoint: Endpoint) -> None:
    """It comes from the probabilities of the prompt alone."""
    [one] = endpoint.choices(prompt=TEXT, max_tokens=1, logprobs=2)
    [many] = endpoint.choices(prompt=TEXT, max_tokens=3, logprobs=2)
    first = {name: values[:1] for name, values in many["logprobs"].items()}
    assert one["logprobs"] == {
        **first,
        "token_logprobs": pytest.approx(first["token_logprobs"]),
    } | {"top_logprobs": [pytest.approx(first["top_logprobs"][0])]}


def test_written_tokens_have_their_probabilities_after_the_prompt(
    endpoint: Endpoint, model: LanguageModel, params: Params, tokenizer: TextTokenizer
) -> None:
    prompt = [tokenizer.bos, *tokenizer.encode(TEXT)]
    [[completion]] = model.generate(params, [prompt], max_new_tokens=6)
    [scores] = model.token_scores(params, [[*prompt, *completion.tokens]], num_top=1)
    [alone] = endpoint.choices(prompt=TEXT, max_tokens=6, logprobs=1)
    [echoed] = endpoint.choices(prompt=TEXT, max_tokens=6, logprobs=1, echo=True)
    expected = scores.log_probabilities.tolist()
    assert alone["logprobs"]["token_logprobs"] == expected[len(prompt) :]
    assert echoed["logprobs"]["token_logprobs"] == expected[1:]
    assert echoed["text"] == TEXT + alone["text"]
    for top, value in zip(
        alone["logprobs"]["top_logprobs"], alone["logprobs"]["token_logprobs"], strict=True
    ):
        assert max(top.values()) == value, "it was the most probable one"


def test_a_stop_string_ends_text_and_tokens(endpoint: Endpoint) -> None:
    [whole] = endpoint.choices(prompt=TEXT, max_tokens=20, logprobs=1)
    run = re.search("[ -~]{4,}", whole["text"])
    assert run is not None, whole["text"]
    stop = run[0][1:3]
    [choice] = endpoint.choices(prompt=TEXT, max_tokens=20, logprobs=1, stop=["no such", stop])
    text = whole["text"][: whole["text"].index(stop)]
    assert choice["text"] == text
    assert choice["finish_reason"] == "stop"
    shown = choice["logprobs"]["tokens"]
    assert shown == whole["logprobs"]["tokens"][: len(shown)]
    assert all(offset < len(text) for offset in choice["logprobs"]["text_offset"])


def test_samples_are_those_of_the_seed(
    endpoint: Endpoint, model: LanguageModel, params: Params, tokenizer: TextTokenizer
) -> None:
    texts = [TEXT, "def"]
    prompts = [[tokenizer.bos, *tokenizer.encode(text)] for text in texts]
    sampling = Sampling(temperature=0.9, top_p=0.95, seed=7)
    expected = model.generate(params, prompts, max_new_tokens=5, sampling=sampling, num_samples=3)
    settings = {"max_tokens": 5, "temperature": 0.9, "top_p": 0.95, "n": 3}
    choices = endpoint.choices(prompt=texts, seed=7, **settings)
    texts_expected = [one.text.decode(errors="replace") for many in expected for one in many]
    assert [choice["text"] for choice in choices] == texts_expected
    assert endpoint.choices(prompt=texts, seed=7, **settings) == choices
    others = endpoint.choices(prompt=texts, seed=8, **settings)
    unseeded = endpoint.choices(prompt=texts, **settings)
    assert len({str([c["text"] for c in many]) for many in (choices, others, unseeded)}) == 3


@pytest.mark.parametrize("max_tokens", [1, 5])
def test_the_eos_that_ends_a_completion_is_listed_and_counted(
    endpoint: Endpoint,
    model: LanguageModel,
    params: Params,
    vocabulary: Vocabulary,
    max_tokens: int,
) -> None:
    rng = np.random.default_rng(0)
    texts = rng.integers(3, 300, size=(40, 60)).tolist()
    places = [
        (number, int(place))
        for number, scores in enumerate(model.token_scores(params, texts, num_top=1))
        for place in np.flatnonzero(scores.top_ids[:, 0] == vocabulary.eos)
        if place <= 59
    ]
    number, place = places[0]
    prompt = texts[number][:place]
    reply = endpoint.complete(prompt=prompt, max_tokens=max_tokens, logprobs=1, echo=True)
    [choice] = reply.json["choices"]
    assert choice["finish_reason"] == "stop"
    assert len(choice["logprobs"]["tokens"]) == len(prompt) + 1
    assert choice["logprobs"]["tokens"][-1] == "<|eos|>"
    top = choice["logprobs"]["top_logprobs"][-1]
    assert choice["logprobs"]["token_logprobs"][-1] == top["<|eos|>"] == max(top.values())
    assert reply.json["usage"]["completion_tokens"] == 1


def test_usage_counts_tokens(endpoint: Endpoint, tokenizer: TextTokenizer) -> None:
    num_prompt = 1 + len(tokenizer.encode(TEXT)) + 2
    reply = endpoint.complete(prompt=TEXT, max_tokens=3, n=2)
    assert reply.json["usage"]["prompt_tokens"] == num_prompt - 2
    reply = endpoint.complete(prompt=[[5, 6], [7]], max_tokens=0, echo=True)
    assert reply.json["usage"] == {"prompt_tokens": 3, "completion_tokens": 0, "total_tokens": 3}
    reply = endpoint.complete(prompt=[[5, 6], [7]], max_tokens=4, n=3)
    usage = reply.json["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["completion_tokens"] <= 24
    assert {*reply.json} == {"id", "object", "created", "model", "choices", "usage"}
    assert reply.json["object"] == "text_completion"


def test_probabilities_that_are_not_numbers_are_an_error(
    model: LanguageModel, params: Params, served: Served
) -> None:
    broken = jax.tree.map(lambda x: jnp.full_like(x, math.nan), params)
    engine = Engine(Compute(model, broken, note=lambda line: None))
    with serving(engine, served) as endpoint:
        reply = endpoint.complete(prompt=TEXT, max_tokens=0, echo=True, logprobs=1)
    assert reply.status == 500
    assert reply.message == "the checkpoint's log-probabilities are not finite numbers"
