import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

from codepretrain.config.schema import MeshConfig, ModelConfig
from codepretrain.evals.language_model import Completion, LanguageModel, Sampling
from codepretrain.evals.language_model.sampling import draw
from codepretrain.model.transformer import Params, logical_axes
from codepretrain.rows.vocabulary import Vocabulary
from codepretrain.train.sharding import make_mesh, param_shardings
from tests.compilations import num_compilations

PlainLogits = Callable[[list[int]], np.ndarray]

BOS, EOS = 1, 2
# More prompts than slots, of different lengths; one is empty.
PROMPTS = [[1, 5, 9, 4], [1], [1, 7, 7, 7, 7, 7], [], [1, 30, 31], [1, 8], [*range(3, 15)], [40]]
SAMPLING = Sampling(temperature=1.5, top_k=40, top_p=0.95, seed=7)


def plain_completion(
    plain_logits: PlainLogits,
    vocabulary: Vocabulary,
    prompt: list[int],
    limit: int,
    *stops: bytes,
    counters: tuple[int, int] | None = None,
) -> Completion:
    """One token at a time from the whole forward pass; the text is searched as a whole."""
    ids = prompt or [BOS]
    tokens: list[int] = []
    while True:
        logits = plain_logits([*ids, *tokens])[-1]
        token = int(logits.argmax())
        if counters is not None:
            token = plain_draw(logits, (*counters, len(tokens)))
        text = vocabulary.decode(tokens)
        if token == EOS:
            return Completion(tokens, text, "eos")
        tokens = [*tokens, token]
        text = vocabulary.decode(tokens)
        found = [text.index(stop) for stop in stops if stop in text]
        if found:
            return Completion(tokens, text[: min(found)], "stop")
        if len(tokens) == limit:
            return Completion(tokens, text, "length")


def plain_draw(logits: np.ndarray, counters: tuple[int, ...]) -> int:
    tokens = draw(
        jnp.asarray(logits, jnp.float32)[None],
        jnp.array([counters], jnp.int32),
        seed=jnp.uint32(SAMPLING.seed),
        temperature=jnp.float32(SAMPLING.temperature),
        top_p=jnp.float32(SAMPLING.top_p),
        top_k=SAMPLING.top_k,
        uses_top_p=True,
    )
    return int(tokens[0])


def test_completions_are_those_of_the_full_forward_pass(
    model: LanguageModel,
    plain_logits: PlainLogits,
    vocabulary: Vocabulary,
    sharded_params: Params,
) -> None:
    """Eight prompts in four slots, each with its own limit: slots are refilled."""
    limits = [6, 1, 12, 9, 2, 3, 7, 12]
    expected = [
        plain_completion(plain_logits, vocabulary, prompt, limit)
        for prompt, limit in zip(PROMPTS, limits, strict=True)
    ]
    found = model.generate(sharded_params, PROMPTS, max_new_tokens=limits)
    assert [one for (one,) in found] == expected
    assert any(len(one.tokens) > 8 for one in expected), "longer than the host's interval"


def test_stop_strings_over_several_tokens_end_each_prompt_by_its_own(
    model: LanguageModel,
    plain_logits: PlainLogits,
    vocabulary: Vocabulary,
    sharded_params: Params,
) -> None:
    free = [one.text for (one,) in model.generate(sharded_params, PROMPTS, max_new_tokens=12)]
    stops = [[text[i : i + 3], b"~"] if len(text) > 4 else [] for i, text in enumerate(free)]
    assert sum(map(bool, stops)) >= 5
    expected = [
        plain_completion(plain_logits, vocabulary, prompt, 12, *own)
        for prompt, own in zip(PROMPTS, stops, strict=True)
    ]
    found = model.generate(sharded_params, PROMPTS, max_new_tokens=12, stop=stops)
    assert [one for (one,) in found] == expected
    assert {"stop"} <= {one.reason for one in expected}
    shared = model.generate(sharded_params, PROMPTS, max_new_tokens=12, stop=[free[0][2:4]])
    assert shared[0] == [plain_completion(plain_logits, vocabulary, PROMPTS[0], 12, free[0][2:4])]


def test_eos_at_once_is_an_empty_completion(
    model: LanguageModel, sharded_params: Params, model_config: ModelConfig
) -> None:
    """With the last token of the first completion as eos, its prompt's completion is shorter."""
    (free,) = model.generate(sharded_params, [[1, 5, 9]], max_new_tokens=8)[0]
    texts = [b"" if token == free.tokens[0] else b"x" for token in range(64)]
    texts[BOS] = b""
    other = Vocabulary(texts, bos=BOS, eos=free.tokens[0], pad=0)
    mesh = make_mesh(MeshConfig(data=2, fsdp=2, tensor=2))
    ends = LanguageModel(model_config, other, mesh, batch_size=4, max_seq_len=24)
    found = ends.generate(sharded_params, [[1, 5, 9]] * 2, max_new_tokens=8, num_samples=2)
    assert found == [[Completion([], b"", "eos")] * 2] * 2


def test_samples_are_keyed_by_prompt_sample_and_position(
    model: LanguageModel,
    plain_logits: PlainLogits,
    vocabulary: Vocabulary,
    sharded_params: Params,
) -> None:
    found = model.generate(
        sharded_params, PROMPTS[:3], max_new_tokens=10, sampling=SAMPLING, num_samples=3
    )
    for number, samples in enumerate(found):
        assert samples == [
            plain_completion(
                plain_logits, vocabulary, PROMPTS[number], 10, counters=(number, sample)
            )
            for sample in range(3)
        ]
    assert len({tuple(one.tokens) for samples in found for one in samples}) == 9
    alone = model.generate(sharded_params, PROMPTS[:1], max_new_tokens=10, sampling=SAMPLING)
    assert alone == [found[0][:1]]


def test_a_prompt_that_fills_the_row_loses_its_start(
    model: LanguageModel, plain_logits: PlainLogits, vocabulary: Vocabulary, sharded_params: Params
) -> None:
    prompt = [int(i) for i in np.arange(40) % 50 + 3]
    found = model.generate(sharded_params, [prompt, prompt], max_new_tokens=[23, 4])
    assert found == [
        [plain_completion(plain_logits, vocabulary, prompt[-1:], 23)],
        [plain_completion(plain_logits, vocabulary, prompt[-20:], 4)],
    ]


def test_the_capacity_grows_with_the_prompts(
    model_config: ModelConfig, vocabulary: Vocabulary, params: Params
) -> None:
    """Two slots; prompts up to 290 of 300 tokens. Scores of whole sequences are the reference."""
    mesh = make_mesh(MeshConfig(), jax.devices()[:1])
    long = LanguageModel(model_config, vocabulary, mesh, batch_size=2, max_seq_len=300)
    rng = np.random.default_rng(0)
    prompts = [rng.integers(3, 56, size).tolist() for size in (290, 3, 40, 120, 129, 185, 3)]
    limits = [10, 30, 20, 30, 5, 60, 200]
    found = [one for (one,) in long.generate(params, prompts, max_new_tokens=limits)]
    for one, limit in zip(found, limits, strict=True):
        assert (one.reason == "eos") or len(one.tokens) == limit
    written = [number for number, one in enumerate(found) if one.tokens]
    assert len(written) >= 5
    scores = long.score(params, [prompts[n] for n in written], [found[n].tokens for n in written])
    assert scores.is_greedy.all()
    assert num_compilations(long._generator._advance) >= 3, "64, 128 and 304 places at least"


MESHES = {
    "one device": MeshConfig(),
    "data 8": MeshConfig(data=8),
    "fsdp 4, tensor 2": MeshConfig(fsdp=4, tensor=2),
}


@pytest.mark.parametrize("mesh_name", MESHES)
@pytest.mark.parametrize("batch_size", [1, 5])
def test_neither_devices_nor_slots_change_a_completion(
    model: LanguageModel,
    model_config: ModelConfig,
    vocabulary: Vocabulary,
    params: Params,
    sharded_params: Params,
    mesh_name: str,
    batch_size: int,
) -> None:
    mesh = make_mesh(MESHES[mesh_name], jax.devices()[: 1 if mesh_name == "one device" else 8])
    other = LanguageModel(model_config, vocabulary, mesh, batch_size=batch_size, max_seq_len=24)
    theirs = placed(params, model_config, mesh)
    for sampling in (None, SAMPLING):
        options: dict[str, Any] = {"max_new_tokens": 9, "sampling": sampling, "num_samples": 2}
        assert other.generate(theirs, PROMPTS, **options) == model.generate(
            sharded_params, PROMPTS, **options
        )


def test_the_past_is_split_over_the_devices_and_never_gathered(
    model_config: ModelConfig, vocabulary: Vocabulary, mesh: Mesh, sharded_params: Params
) -> None:
    """Of the slots' 512 places, each device has its rows and heads only, in both functions."""
    model = LanguageModel(model_config, vocabulary, mesh, batch_size=16, max_seq_len=504)
    generator = model._generator
    slots = generator._start(sharded_params, capacity=512)
    key = slots.past[0].key
    assert (key.shape, key.addressable_shards[0].data.shape) == ((16, 2, 512, 4), (4, 1, 512, 4))
    control, tokens, ones = (
        generator._place(np.ones(shape, np.int32)) for shape in ((16, 5), (4, 128), (4, 1))
    )
    sources = generator._place(np.zeros((16, 1), np.int32))
    compiled = [
        generator._advance.lower(sharded_params, slots, control, is_sampled=False).compile(),
        generator._fill.lower(sharded_params, slots, tokens, ones, sources).compile(),
    ]
    for program in compiled:
        collectives = re.findall(r"= (\S+) (?:all-|collective-)", str(program.as_text()))
        assert collectives
        assert not [shape for shape in collectives if "512" in shape], collectives


def placed(params: Params, config: ModelConfig, mesh: Mesh) -> Params:
    shardings = param_shardings(logical_axes(config), params, mesh)
    return jax.tree.map(lambda x, s: jax.device_put(np.asarray(x), s), params, shardings)


def test_equal_greedy_requests_are_computed_once_and_progress_counts_them(
    model: LanguageModel, sharded_params: Params
) -> None:
    seen: list[tuple[int, int, str]] = []
    found = model.generate(
        sharded_params,
        [[1, 5], [1, 6], [1, 5]],
        max_new_tokens=3,
        num_samples=2,
        progress=lambda *one: seen.append(one),
    )
    assert found[0] == found[2] == [found[0][0]] * 2
    assert seen[-1] == (2, 2, "completions")


def test_new_settings_of_a_kind_compile_nothing(
    model: LanguageModel, sharded_params: Params
) -> None:
    def compiled(sampling: Sampling, **options: Any) -> int:
        settings: dict[str, Any] = {"max_new_tokens": 4, "sampling": sampling, **options}
        model.generate(sharded_params, PROMPTS[:3], **settings)
        return num_compilations(model._generator._advance)

    first = compiled(Sampling(top_p=0.5))
    assert compiled(Sampling(top_p=0.6, temperature=2.0, seed=3)) == first
    assert (
        compiled(Sampling(top_p=0.7), num_samples=3, stop=[b"x"], max_new_tokens=[1, 2, 3]) == first
    )
