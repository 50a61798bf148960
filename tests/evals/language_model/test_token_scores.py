from collections.abc import Callable

import numpy as np
import pytest
from jax.sharding import Mesh

from codepretrain.config.schema import ModelConfig
from codepretrain.evals.language_model import LanguageModel, TokenScores
from codepretrain.model.transformer import Params
from codepretrain.rows.vocabulary import Vocabulary
from tests.compilations import num_compilations

PlainLogits = Callable[[list[int]], np.ndarray]
SEQUENCES = [[1, 5, 9, 4, 6, 8], [7], [1, 30, 31, 9, 3, 3, 50], [1, 2, 1, 2], [40] * 24]


def plain(plain_logits: PlainLogits, tokens: list[int]) -> np.ndarray:
    """log p of every token after each prefix, from the whole forward pass: [T, V]."""
    logits = plain_logits(tokens)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def test_every_token_has_the_log_softmax_of_the_full_logits(
    model: LanguageModel, plain_logits: PlainLogits, sharded_params: Params
) -> None:
    found = model.token_scores(sharded_params, SEQUENCES, num_top=3)
    for tokens, scores in zip(SEQUENCES, found, strict=True):
        log_p = plain(plain_logits, tokens)
        assert scores.log_probabilities.shape == (len(tokens),)
        assert np.isnan(scores.log_probabilities[0])
        chosen = log_p[np.arange(len(tokens) - 1), tokens[1:]]
        np.testing.assert_allclose(scores.log_probabilities[1:], chosen, atol=2e-5)
        best = np.argsort(-log_p, axis=1, kind="stable")[:, :3]
        assert scores.top_ids[0].tolist() == [-1, -1, -1]
        np.testing.assert_array_equal(scores.top_ids[1:], best)
        np.testing.assert_allclose(
            scores.top_log_probabilities[1:], np.take_along_axis(log_p, best, axis=1), atol=2e-5
        )


def test_their_sums_are_the_scores_of_continuations(
    model: LanguageModel, sharded_params: Params
) -> None:
    scores = model.score(sharded_params, [[1, 5, 9], [1, 30]], [[4, 6, 8], [31, 9, 3, 3, 50]])
    first, second = model.token_scores(sharded_params, [SEQUENCES[0], SEQUENCES[2]], num_top=1)
    sums = [first.log_probabilities[3:].sum(), second.log_probabilities[2:].sum()]
    np.testing.assert_allclose(scores.log_probabilities, sums, atol=2e-6)


def test_a_token_is_the_best_one_exactly_if_its_log_probability_is_the_greatest(
    model: LanguageModel, sharded_params: Params
) -> None:
    """So clients may compare the two numbers: what is greedy has the same bits twice."""
    [[written]] = model.generate(sharded_params, [[1, 9]], max_new_tokens=20)
    [scores] = model.token_scores(sharded_params, [[1, 9, *written.tokens]], num_top=1)
    np.testing.assert_array_equal(
        scores.log_probabilities[2:], scores.top_log_probabilities[2:-1, 0]
    )
    is_best = scores.log_probabilities[1] == scores.top_log_probabilities[1, 0]
    assert is_best == (scores.top_ids[1, 0] == 9)


def test_the_bits_do_not_depend_on_the_other_sequences(
    model: LanguageModel, sharded_params: Params
) -> None:
    def bits(scores: TokenScores) -> tuple[bytes, bytes]:
        return scores.log_probabilities.tobytes(), scores.top_log_probabilities.tobytes()

    together = model.token_scores(sharded_params, SEQUENCES, num_top=2)
    for tokens, scores in zip(SEQUENCES, together, strict=True):
        [alone] = model.token_scores(sharded_params, [tokens], num_top=2)
        assert bits(alone) == bits(scores)


def test_a_few_positions_at_a_time_give_the_same(
    model_config: ModelConfig,
    vocabulary: Vocabulary,
    mesh: Mesh,
    model: LanguageModel,
    sharded_params: Params,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Five of the 24 positions at once: the last group is padded."""
    monkeypatch.setattr(
        "codepretrain.evals.language_model.positions.LOGITS_PER_DEVICE", 5 * 4 * 64 // 8
    )
    few = LanguageModel(model_config, vocabulary, mesh, batch_size=3, max_seq_len=24)
    assert few._token_scorer._num_at_once == 5
    ours = few.token_scores(sharded_params, SEQUENCES, num_top=2)
    theirs = model.token_scores(sharded_params, SEQUENCES, num_top=2)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one.log_probabilities, other.log_probabilities, atol=1e-6)
        np.testing.assert_array_equal(one.top_ids, other.top_ids)


def test_one_width_compiles_once(model: LanguageModel, sharded_params: Params) -> None:
    model.token_scores(sharded_params, SEQUENCES, num_top=4)
    before = num_compilations(model._token_scorer._score)
    model.token_scores(sharded_params, [[1] * n for n in range(1, 25)], num_top=4)
    assert num_compilations(model._token_scorer._score) == before


@pytest.mark.parametrize("tokens", [[], [5] * 25])
def test_a_sequence_that_is_empty_or_too_long(
    model: LanguageModel, sharded_params: Params, tokens: list[int]
) -> None:
    with pytest.raises(ValueError, match=r"sequence 1 has \d+ tokens, expected 1 to 24"):
        model.token_scores(sharded_params, [[1], tokens], num_top=1)
