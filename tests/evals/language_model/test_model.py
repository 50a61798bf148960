from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

from codepretrain.config.schema import MeshConfig, ModelConfig
from codepretrain.errors import UserError
from codepretrain.evals.language_model import LanguageModel
from codepretrain.model.transformer import Params
from codepretrain.rows.vocabulary import Vocabulary
from codepretrain.train.sharding import make_mesh
from tests.compilations import num_compilations

PlainLogits = Callable[[list[int]], np.ndarray]

CONTEXTS = [[1, 5, 9, 4], [1], [1, 7, 7, 7, 7, 7], [], [1, 30, 31]]
CONTINUATIONS = [[6, 8], [40, 41, 42], [12], [9, 3, 3, 50], [2]]


def plain_score(
    plain_logits: PlainLogits, context: list[int], continuation: list[int]
) -> tuple[float, bool]:
    logits = plain_logits([*context, *continuation][:-1])[len(context) - 1 :]
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    chosen = log_p[np.arange(len(continuation)), continuation]
    return chosen.sum(), bool((logits.argmax(axis=1) == continuation).all())


def plain_greedy(plain_logits: PlainLogits, prompt: list[int], count: int) -> list[int]:
    ids = list(prompt)
    for _ in range(count):
        ids.append(int(plain_logits(ids)[-1].argmax()))
    return ids[len(prompt) :]


def test_scores_are_the_log_softmax_of_the_full_logits(
    model: LanguageModel, plain_logits: PlainLogits, sharded_params: Params
) -> None:
    scores = model.score(sharded_params, CONTEXTS, CONTINUATIONS)
    for number, (context, continuation) in enumerate(zip(CONTEXTS, CONTINUATIONS, strict=True)):
        expected, is_greedy = plain_score(plain_logits, context or [1], continuation)
        assert scores.log_probabilities[number] == pytest.approx(expected, abs=2e-5)
        assert scores.is_greedy[number] == is_greedy
    assert scores.num_tokens.tolist() == [2, 3, 1, 4, 1]


def test_what_the_model_would_write_is_greedy_and_one_other_token_spoils_it(
    model: LanguageModel, plain_logits: PlainLogits, sharded_params: Params
) -> None:
    best = plain_greedy(plain_logits, [1, 9], 4)
    others = [[*best[:number], best[number] ^ 1, *best[number + 1 :]] for number in range(4)]
    scores = model.score(sharded_params, [[1, 9]] * 5, [best, *others])
    assert scores.is_greedy.tolist() == [True, False, False, False, False]


def test_a_diverged_model_has_no_scores(model: LanguageModel, sharded_params: Params) -> None:
    """NaN compared with anything would choose an answer, so a task would get an accuracy."""
    params = jax.tree.map(lambda x: jnp.full_like(x, jnp.nan), sharded_params)
    with pytest.raises(UserError, match=r"not a number.*diverged"):
        model.score(params, CONTEXTS, CONTINUATIONS)


def test_a_few_positions_at_a_time_give_the_same(
    model_config: ModelConfig,
    vocabulary: Vocabulary,
    mesh: Mesh,
    model: LanguageModel,
    sharded_params: Params,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Three positions at once: the last ones are padded."""
    monkeypatch.setattr(
        "codepretrain.evals.language_model.positions.LOGITS_PER_DEVICE", 3 * 4 * 64 // 8
    )
    few = LanguageModel(model_config, vocabulary, mesh, batch_size=3, max_seq_len=24)
    ours = few.score(sharded_params, CONTEXTS, CONTINUATIONS)
    theirs = model.score(sharded_params, CONTEXTS, CONTINUATIONS)
    np.testing.assert_allclose(ours.log_probabilities, theirs.log_probabilities, atol=1e-6)


def test_of_a_long_pair_the_start_of_the_context_is_left_out(
    model: LanguageModel, plain_logits: PlainLogits, sharded_params: Params
) -> None:
    context, continuation = [int(i) for i in np.arange(60) % 50 + 3], [4, 5, 6]
    kept = context[-(24 + 1 - 3) :]
    scores = model.score(sharded_params, [context], [continuation])
    expected, _ = plain_score(plain_logits, kept, continuation)
    assert scores.log_probabilities[0] == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize("continuation", [[], [5] * 25])
def test_a_continuation_that_cannot_be_scored_is_refused(
    model: LanguageModel, sharded_params: Params, continuation: list[int]
) -> None:
    message = f"continuation 1 has {len(continuation)} tokens, expected 1 to 24"
    with pytest.raises(ValueError, match=message):
        model.score(sharded_params, [[1], [1]], [[5], continuation])


def test_one_device_and_eight_agree(
    model_config: ModelConfig,
    vocabulary: Vocabulary,
    model: LanguageModel,
    params: Params,
    sharded_params: Params,
) -> None:
    mesh = make_mesh(MeshConfig(), jax.devices()[:1])
    alone = LanguageModel(model_config, vocabulary, mesh, batch_size=2, max_seq_len=24)
    assert (alone.batch_size, model.batch_size) == (2, 4)
    ours = alone.score(params, CONTEXTS, CONTINUATIONS)
    theirs = model.score(sharded_params, CONTEXTS, CONTINUATIONS)
    np.testing.assert_allclose(ours.log_probabilities, theirs.log_probabilities, atol=2e-5)


def test_each_shape_is_compiled_once_whatever_the_parameters(
    model: LanguageModel, sharded_params: Params
) -> None:
    def compiled(params: Params, count: int) -> list[int]:
        prompts = [[1, 4 + i] for i in range(count)]
        model.score(params, prompts, [[5, 6]] * count)
        model.generate(params, prompts, max_new_tokens=4)
        generator = model._generator
        functions = (model._scorer._score, generator._fill, generator._advance)
        return [num_compilations(function) for function in functions]

    first = compiled(sharded_params, 2)
    others = jax.tree.map(lambda x: x * jnp.float32(0.5), sharded_params)
    assert compiled(others, 2) == first


def test_no_items_need_no_computation(model: LanguageModel, sharded_params: Params) -> None:
    assert model.score(sharded_params, [], []).log_probabilities.shape == (0,)
    assert model.rolling(sharded_params, []).shape == (0,)
    assert model.generate(sharded_params, [], max_new_tokens=3) == []


def test_rolling_sums_windows_of_the_model_rows(
    model: LanguageModel, plain_logits: PlainLogits, sharded_params: Params
) -> None:
    """Windows by hand for rows of 24: from bos, from the last token before, and a whole row."""
    tokens = [int(i) for i in (np.arange(60) * 7) % 50 + 3]
    expected = sum(
        plain_score(plain_logits, *window)[0]
        for window in (
            ([1], tokens[:24]),
            (tokens[23:24], tokens[24:48]),
            (tokens[35:48], tokens[48:]),
        )
    )
    found = model.rolling(sharded_params, [tokens, [], tokens[:24], [5]])
    assert found[0] == pytest.approx(expected, abs=2e-4)
    assert found[1] == 0.0
    assert found[2] == pytest.approx(plain_score(plain_logits, [1], tokens[:24])[0], abs=1e-4)
    assert found[3] == pytest.approx(plain_score(plain_logits, [1], [5])[0], abs=2e-5)


def test_choices_and_nested_prefixes_score_as_if_each_were_alone(
    model: LanguageModel, plain_logits: PlainLogits, sharded_params: Params
) -> None:
    """Choices of one context, contexts that begin alike, equal pairs, contexts of one choice."""
    start = [1, 5, 9, 4, 33, 20, 41, 8, 8, 12]
    contexts = [start] * 4 + [[*start, 7], [*start[:7], 3, 3, 3], start, [1, 6], [1, 6], []]
    continuations = [[6, 8], [40, 41, 42], [12], [6, 9], [9], [9], [6, 8], [5], [5], [5, 6]]
    done: list[tuple[int, int, str]] = []
    scores = model.score(
        sharded_params, contexts, continuations, progress=lambda *one: done.append(one)
    )
    for number, (context, continuation) in enumerate(zip(contexts, continuations, strict=True)):
        expected, is_greedy = plain_score(plain_logits, context or [1], continuation)
        assert scores.log_probabilities[number] == pytest.approx(expected, abs=2e-5)
        assert scores.is_greedy[number] == is_greedy
    assert done[-1] == (8, 8, "continuations"), "equal pairs are computed once"


@pytest.mark.parametrize("wrong", [-1, 64])
def test_an_id_outside_the_vocabulary_is_refused(
    model: LanguageModel, sharded_params: Params, wrong: int
) -> None:
    message = f"token id {wrong}: expected 0 to 63"
    with pytest.raises(ValueError, match=message):
        model.score(sharded_params, [[1]], [[5, wrong]])
    with pytest.raises(ValueError, match=message):
        model.rolling(sharded_params, [[5], [wrong]])
    with pytest.raises(ValueError, match=message):
        model.generate(sharded_params, [[wrong, 5]], max_new_tokens=3)
