from typing import Any

import numpy as np
import pytest
from lm_eval.api.instance import Instance

from codepretrain.evals.harness.lm import HarnessLM
from codepretrain.evals.harness.tokenizer import TextTokenizer
from codepretrain.evals.language_model import LanguageModel
from codepretrain.model.transformer import Params

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def lm(text_model: LanguageModel, text_params: Params, tokenizer: TextTokenizer) -> HarnessLM:
    return HarnessLM(text_model, text_params, tokenizer)


def instances(kind: Any, *arguments: tuple[Any, ...]) -> list[Instance]:
    return [Instance(kind, {}, args, 0, metadata=("t", n, 1)) for n, args in enumerate(arguments)]


def test_likelihoods(
    lm: HarnessLM, text_model: LanguageModel, text_params: Params, tokenizer: TextTokenizer
) -> None:
    pairs = [("Is it?", " yes"), ("", "no"), ("Answer: ", "yes")]
    found = lm.loglikelihood(instances("loglikelihood", *pairs))
    bos, encode = tokenizer.bos, tokenizer.encode
    scores = text_model.score(
        text_params,
        [[bos, *encode("Is it?")], [bos], [bos, *encode("Answer:")]],
        [encode(" yes"), encode("no"), encode(" yes")],
    )
    np.testing.assert_allclose([total for total, _ in found], scores.log_probabilities, rtol=1e-6)
    assert [is_greedy for _, is_greedy in found] == scores.is_greedy.tolist()


def test_a_text_longer_than_the_window_is_scored_once_token_by_token(
    lm: HarnessLM, text_model: LanguageModel, text_params: Params, tokenizer: TextTokenizer
) -> None:
    text = "Rivers and stones under them. " * 30
    ids = tokenizer.encode(text)
    assert len(ids) > 2 * 128
    (found,) = lm.loglikelihood_rolling(instances("loglikelihood_rolling", (text,)))
    starts = list(range(0, len(ids), 128))
    windows = [ids[start : start + 128] for start in starts]
    # The first window starts from bos; the last one has as much context as fits.
    contexts = [[tokenizer.bos], *([ids[start - 1]] for start in starts[1:-1])]
    contexts.append(ids[len(ids) - 128 - 1 : starts[-1]])
    scores = text_model.score(text_params, contexts, windows)
    assert found == pytest.approx(scores.log_probabilities.sum(), rel=1e-5)


def test_answers_in_the_order_of_the_requests_whatever_their_settings(lm: HarnessLM) -> None:
    long, short = {"until": [], "max_gen_toks": 12}, {"until": [], "max_gen_toks": 3}
    asked = [("Is it?", long), ("Who?", short), ("Who?", long), ("Is it?", short)]
    texts = lm.generate_until(instances("generate_until", *asked))
    assert texts[0].startswith(texts[3])
    assert texts[2].startswith(texts[1])
    assert texts[0] != texts[3]


def test_an_answer_ends_before_a_stop_text(lm: HarnessLM) -> None:
    (free,) = lm.generate_until(
        instances("generate_until", ("Is it?", {"until": [], "max_gen_toks": 12}))
    )
    stop = free[3:6]
    (cut,) = lm.generate_until(
        instances("generate_until", ("Is it?", {"until": [stop], "max_gen_toks": 12}))
    )
    assert cut == free[: free.index(stop)]


def test_sampled_answers_differ_and_are_the_same_again(lm: HarnessLM) -> None:
    settings = {"do_sample": True, "temperature": 1.0, "max_gen_toks": 12, "until": []}
    asked = instances("generate_until", *[("Is it?", settings)] * 6)
    texts = lm.generate_until(asked)
    assert len(set(texts)) > 3
    assert lm.generate_until(asked) == texts
