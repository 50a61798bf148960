"""lm-evaluation-harness's own client of completions endpoints: `make test-serve`.

It sends the same requests to a server as `HarnessLM` gets from the harness, and must get the same
answers. Needs `transformers` for the client's tokenizer. The client keeps one token of its
`max_length` for the completion that it asks for with every request, so it scores at most
`max_length - 1` tokens: those are the windows of a language model with rows of `max_length - 2`.
"""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jax.sharding import Mesh

from codepretrain.config.schema import ModelConfig, TokenizerConfig
from codepretrain.evals.harness.tokenizer import TextTokenizer
from codepretrain.evals.language_model import LanguageModel
from codepretrain.interop.tokenizer_files import special_tokens, write_tokenizer
from codepretrain.model.transformer import Params
from codepretrain.rows.vocabulary import Vocabulary, tokenizer_path
from tests.serve.conftest import NAME, WINDOW, Endpoint

pytest.importorskip("transformers")
api = pytest.importorskip("lm_eval.models.openai_completions")
instance = pytest.importorskip("lm_eval.api.instance")
harness_lm = pytest.importorskip("codepretrain.evals.harness.lm")

pytestmark = [
    pytest.mark.campaign,
    pytest.mark.filterwarnings("default"),  # other packages' warnings are not ours to act upon
]

WAYS = [{"batch_size": 1}, {"batch_size": 7}, {"batch_size": 3, "num_concurrent": 4}]
WORDS = [
    *("river", "is", "long", "été", "comme", "hiver", "12", "+", "30", "=", "42"),
    *("def", "f(x):", "return", "x", "日本", "\n\t🙂", ",", "."),
]


def instances(kind: str, arguments: list[tuple[Any, ...]]) -> list[Any]:
    return [instance.Instance(kind, {}, one, n) for n, one in enumerate(arguments)]


def some_text(rng: random.Random, at_most: int) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, at_most)))


@pytest.fixture(scope="module")
def tokenizer_dir(tmp_path_factory: pytest.TempPathFactory, text_dir: Path) -> Path:
    """The tokenizer as `export` writes it."""
    folder = tmp_path_factory.mktemp("exported")
    path, names = tokenizer_path(text_dir), TokenizerConfig()
    tokens = special_tokens(path, bos=names.bos_token, eos=names.eos_token)
    write_tokenizer(folder, path, tokens=tokens, max_seq_len=WINDOW)
    return folder


@pytest.fixture(params=WAYS, ids=str)
def way(request: pytest.FixtureRequest) -> dict[str, int]:
    return request.param


def make_client(endpoint: Endpoint, tokenizer_dir: Path, **settings: Any) -> Any:
    return api.LocalCompletionsAPI(
        base_url=f"{endpoint.address}/v1/completions",
        model=NAME,
        tokenizer=str(tokenizer_dir),
        max_length=WINDOW,
        max_retries=1,
        **settings,
    )


@pytest.fixture(scope="module")
def ours(
    model_config: ModelConfig, vocabulary: Vocabulary, params: Params, tokenizer: TextTokenizer
) -> Any:
    """Makes a `HarnessLM` whose rows have so many tokens."""
    import jax

    mesh: Mesh = jax.tree.leaves(params)[0].sharding.mesh

    def make(max_seq_len: int) -> Any:
        model = LanguageModel(model_config, vocabulary, mesh, batch_size=4, max_seq_len=max_seq_len)
        return harness_lm.HarnessLM(model, params, tokenizer)

    return make


def test_loglikelihoods(
    endpoint: Endpoint, tokenizer_dir: Path, ours: Any, way: dict[str, int]
) -> None:
    """Contexts that are empty, that end in white space, and that are longer than the window."""
    rng = random.Random(0)
    pairs = [("", "river"), ("a ", " b"), ("x\n", "y"), ("river " * 99, "is long")]
    pairs += [(some_text(rng, 30) if n % 9 else "", f" {some_text(rng, 5)}") for n in range(200)]
    requests = instances("loglikelihood", pairs)
    client = make_client(endpoint, tokenizer_dir, add_bos_token=True, **way)
    theirs = client.loglikelihood(requests, disable_tqdm=True)
    own = ours(WINDOW - 2).loglikelihood(requests)
    np.testing.assert_allclose([t for t, _ in theirs], [o for o, _ in own], rtol=1e-5, atol=1e-5)
    assert [greedy for _, greedy in theirs] == [bool(greedy) for _, greedy in own]


def test_what_is_greedy(
    endpoint: Endpoint,
    tokenizer_dir: Path,
    ours: Any,
    model: LanguageModel,
    params: Params,
    tokenizer: TextTokenizer,
) -> None:
    """The continuations that the model itself writes, as token ids, and others beside them."""
    contexts = [[tokenizer.bos, *tokenizer.encode(word)] for word in WORDS]
    written = model.generate(params, contexts, max_new_tokens=5)
    pairs = []
    for context, [completion] in zip(contexts, written, strict=True):
        tokens = completion.tokens
        if tokens:
            pairs += [(context, tokens), (context, [*tokens[:-1], tokens[-1] ^ 1])]
    requests = [(("", ""), *pair) for pair in pairs]
    theirs = make_client(endpoint, tokenizer_dir, batch_size=5)._loglikelihood_tokens(requests)
    assert [greedy for _, greedy in theirs] == [True, False] * (len(pairs) // 2)
    own = ours(WINDOW)._loglikelihood_tokens(requests)
    np.testing.assert_allclose([t for t, _ in theirs], [o for o, _ in own], rtol=1e-5, atol=1e-5)
    assert len(pairs) > 10


def test_rolling_loglikelihoods(
    endpoint: Endpoint, tokenizer_dir: Path, ours: Any, way: dict[str, int]
) -> None:
    """Texts of up to many windows. The client puts one bos before a text by itself."""
    rng = random.Random(1)
    requests = instances(
        "loglikelihood_rolling", [(some_text(rng, 10 + 4 * n),) for n in range(20)]
    )
    client = make_client(endpoint, tokenizer_dir, **way)
    theirs = client.loglikelihood_rolling(requests, disable_tqdm=True)
    own = ours(WINDOW - 2).loglikelihood_rolling(requests)
    np.testing.assert_allclose(theirs, own, rtol=1e-5, atol=1e-4)


def test_generations(
    endpoint: Endpoint, tokenizer_dir: Path, ours: Any, way: dict[str, int]
) -> None:
    """Until stop strings, and until the limit; some contexts are longer than the window."""
    rng = random.Random(2)
    settings = [
        {"until": ["\n", "e"], "max_gen_toks": 12, "do_sample": False},
        {"until": ["issue"], "max_gen_toks": 20, "do_sample": False, "temperature": 0.0},
    ]
    requests = instances(
        "generate_until", [(some_text(rng, 40), settings[n % 2]) for n in range(30)]
    )
    client = make_client(endpoint, tokenizer_dir, add_bos_token=True, **way)
    theirs = client.generate_until(requests, disable_tqdm=True)
    assert theirs == ours(WINDOW - 1).generate_until(requests)
    assert any(theirs)
