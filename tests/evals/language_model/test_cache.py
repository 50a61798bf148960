import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

from codepretrain import interrupt
from codepretrain.config.schema import ModelConfig
from codepretrain.errors import Interrupted, UserError
from codepretrain.evals.language_model import LanguageModel, RequestCache, Sampling
from codepretrain.evals.language_model.cache import cached
from codepretrain.model.transformer import Params
from codepretrain.rows.vocabulary import Vocabulary

PROMPTS = [[1, 5 + i] for i in range(9)]
SEQUENCES = [[5 + i] * 30 for i in range(6)]


def kept(path: Path, digest: str, keys: list[str]) -> list[Any]:
    with RequestCache(path, digest) as cache:
        return cache.lookup(keys)


def test_what_was_added_is_there_after_a_kill_in_the_middle_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    with RequestCache(path, "d") as cache:
        cache.add({"a": [-1.5, True], "b": {"text": "☃"}})
    with path.open("a") as file:
        file.write('{"key": "c", "val')
    assert kept(path, "d", ["b", "a", "c"]) == [{"text": "☃"}, [-1.5, True], None]
    assert kept(path, "d", [str(i) for i in range(1300)] + ["a"])[1300] == [-1.5, True]


def test_a_damaged_line_before_the_last_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text('{"key": "a", "value": 1}\n{"key": \n{"key": "b", "value": 2}\n')
    with pytest.raises(UserError, match=r"results\.jsonl line 2 is damaged"):
        RequestCache(path, "d")


def test_a_line_without_a_result_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text('{"key": "a", "value": 1}\n{"key": "b"}\n')
    with pytest.raises(UserError, match=r"results\.jsonl line 2 is damaged.*remove"):
        RequestCache(path, "d")


def test_everything_that_decides_a_result_is_in_the_key(tmp_path: Path) -> None:
    def key(digest: str, kind: str, tokens: list[int]) -> str:
        with RequestCache(tmp_path / "results", digest) as cache:
            return cache.key(kind, {"tokens": tokens})

    cases = [("d", "score", [1, 2]), ("e", "score", [1, 2]), ("d", "generate", [1, 2])]
    cases.append(("d", "score", [1, 3]))
    keys = [key(*case) for case in cases]
    assert len(set(keys)) == 4
    assert [key(*case) for case in cases] == keys


def test_only_what_is_missing_is_computed(tmp_path: Path) -> None:
    computed = []

    def compute(numbers: list[int]) -> Iterator[list[tuple[int, Any]]]:
        computed.append(numbers)
        for position, number in enumerate(numbers):
            yield [(position, number * 10)]

    with RequestCache(tmp_path / "results", "d") as cache:
        requests = [lambda number=number: {"number": number} for number in range(5)]
        first = list(cached(cache, "kind", [requests[1], requests[3]], compute))
        second = list(cached(cache, "kind", requests, compute))
    assert first == [[(0, 0)], [(1, 10)]]
    assert second == [[(1, 0), (3, 10)], [(0, 0)], [(2, 20)], [(4, 40)]]
    assert computed == [[0, 1], [0, 2, 4]]
    assert list(cached(None, "kind", requests, compute))[3] == [(3, 30)]


def everything(model: LanguageModel, params: Params) -> list[Any]:
    scores = model.score(params, PROMPTS, [[6, 7]] * 9)
    sampled = model.generate(
        params, PROMPTS, max_new_tokens=6, sampling=Sampling(), num_samples=2, stop=[b"a"]
    )
    return [
        scores.log_probabilities.tolist(),
        scores.is_greedy.tolist(),
        model.rolling(params, SEQUENCES).tolist(),
        model.generate(params, PROMPTS, max_new_tokens=6),
        sampled,
    ]


def test_a_call_of_each_kind_is_not_computed_again(
    model: LanguageModel, sharded_params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = everything(model, sharded_params)
    with RequestCache(tmp_path / "results", "d") as cache, model.caching(cache):
        assert everything(model, sharded_params) == expected
    for name in ("_scorer", "_generator"):
        monkeypatch.setattr(model, name, refuse_work)
    with RequestCache(tmp_path / "results", "d") as cache, model.caching(cache):
        assert everything(model, sharded_params) == expected
    with pytest.raises(AssertionError, match="computed"):
        model.score(sharded_params, PROMPTS, [[6, 7]] * 9)


def test_answers_are_kept_for_the_same_model_and_parameters_only(
    model: LanguageModel,
    model_config: ModelConfig,
    vocabulary: Vocabulary,
    mesh: Mesh,
    sharded_params: Params,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def scores(model: LanguageModel, params: Params) -> tuple[str, list[float]]:
        with model.keeping_answers(params, tmp_path, name="test") as kept:
            return kept.digest, model.score(params, [[1]], [[6]]).log_probabilities.tolist()

    expected = scores(model, sharded_params)
    halves = jax.tree.map(lambda x: x * jnp.float32(0.5), sharded_params)
    scaled = dataclasses.replace(model_config, logit_scale=model_config.logit_scale * 2)
    other = LanguageModel(scaled, vocabulary, mesh, batch_size=3, max_seq_len=24)
    found = [expected, scores(model, halves), scores(other, sharded_params)]
    assert len({digest for digest, _ in found}) == 3
    monkeypatch.setattr(model, "_scorer", refuse_work)
    assert scores(model, sharded_params) == expected
    assert len(list(tmp_path.iterdir())) == 3
    with model.keeping_answers(sharded_params, tmp_path, name="test") as kept:
        pass
    kept.remove()
    assert len(list(tmp_path.iterdir())) == 2


def refuse_work(params: Params, requests: list[Any], **_: Any) -> Iterator[list[Any]]:
    assert not requests, "computed"
    return iter([])


@pytest.mark.parametrize("kind", ["score", "generate"])
def test_after_an_interruption_the_rest_is_computed(
    kind: str,
    model: LanguageModel,
    sharded_params: Params,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def call(progress: Any = lambda *_: None) -> Any:
        if kind == "score":
            contexts = [
                [1, *np.random.default_rng(i).integers(3, 50, 18).tolist()] for i in range(9)
            ]
            return model.score(
                sharded_params, contexts, [[6]] * 9, progress=progress
            ).log_probabilities.tolist()
        return model.generate(sharded_params, PROMPTS, max_new_tokens=6, progress=progress)

    expected = call()
    checks = []

    def check() -> None:
        checks.append(True)
        if len(checks) == 2:
            raise Interrupted(2, "stop")

    with monkeypatch.context() as patched:
        patched.setattr(interrupt, "check", check)
        with (
            pytest.raises(Interrupted),
            RequestCache(tmp_path / "results", "d") as cache,
            model.caching(cache),
        ):
            call()
    done: list[tuple[int, int, str]] = []
    with RequestCache(tmp_path / "results", "d") as cache, model.caching(cache):
        found = call(lambda *one: done.append(one))
    assert 0 < done[0][0] < 9, "the first report is of what was cached"
    assert done[-1][:2] == (9, 9)
    if kind == "score":
        np.testing.assert_allclose(found, expected, atol=1e-5)
    else:
        assert found == expected
