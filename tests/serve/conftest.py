"""A tiny model with random parameters and a trained tokenizer, behind a real HTTP server."""

import contextlib
import dataclasses
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import pytest

from codepretrain.config.schema import MeshConfig, ModelConfig, TokenizerConfig
from codepretrain.data.tokenization.tokenizer import save_tokenizer, train_tokenizer
from codepretrain.evals.harness.tokenizer import TextTokenizer
from codepretrain.evals.language_model import LanguageModel
from codepretrain.model.transformer import Params, init_params, logical_axes
from codepretrain.rows.vocabulary import Vocabulary, load_vocabulary
from codepretrain.serve.app import Served, make_app
from codepretrain.serve.compute import Compute
from codepretrain.serve.engine import Engine
from codepretrain.serve.pieces import Pieces
from codepretrain.serve.request import Limits
from codepretrain.serve.server import bind, running, url
from codepretrain.train.sharding import make_mesh, param_shardings
from tests.configs import TINY_MODEL

CORPUS = ["The river is long, été comme hiver: 12 + 30 = 42\n" * 9, "def f(x):\n    return x\n" * 9]
WINDOW = 64
VOCAB_SIZE = 320
NAME = "tiny-trunk-40"


@pytest.fixture(scope="session")
def text_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with a tokenizer only."""
    root = tmp_path_factory.mktemp("tokenizer")
    config = TokenizerConfig(vocab_size=VOCAB_SIZE)
    save_tokenizer(train_tokenizer(CORPUS, config), config, root)
    return root


@pytest.fixture(scope="session")
def tokenizer(text_dir: Path) -> TextTokenizer:
    return TextTokenizer.load(text_dir)


@pytest.fixture(scope="session")
def vocabulary(text_dir: Path) -> Vocabulary:
    return load_vocabulary(text_dir, vocab_size=VOCAB_SIZE)


@pytest.fixture(scope="session")
def pieces(vocabulary: Vocabulary) -> Pieces:
    return Pieces(vocabulary, {vocabulary.bos: "<|bos|>", vocabulary.eos: "<|eos|>"})


@pytest.fixture(scope="session")
def model_config() -> ModelConfig:
    return dataclasses.replace(
        TINY_MODEL, vocab_size=VOCAB_SIZE, logit_scale=4.0, compute_dtype="float32"
    )


@pytest.fixture(scope="session")
def model(model_config: ModelConfig, vocabulary: Vocabulary) -> LanguageModel:
    """On four devices, in batches of 4."""
    mesh = make_mesh(MeshConfig(data=2, tensor=2), jax.devices()[:4])
    return LanguageModel(model_config, vocabulary, mesh, batch_size=4, max_seq_len=WINDOW)


@pytest.fixture(scope="session")
def params(model_config: ModelConfig) -> Params:
    mesh = make_mesh(MeshConfig(data=2, tensor=2), jax.devices()[:4])
    params = jax.jit(init_params, static_argnums=0)(model_config, jax.random.key(1))
    shardings = param_shardings(logical_axes(model_config), params, mesh)
    return jax.tree.map(jax.device_put, params, shardings)


@pytest.fixture(scope="session")
def limits(vocabulary: Vocabulary) -> Limits:
    return Limits(
        window=WINDOW,
        vocab_size=VOCAB_SIZE,
        bytes_per_token=int(vocabulary.num_bytes.max()),
        tokens_per_request=1000,
    )


@pytest.fixture(scope="session")
def compute(model: LanguageModel, params: Params) -> Compute:
    return Compute(model, params, note=lambda line: None)


@dataclass(frozen=True)
class Reply:
    """A response: its status and its JSON."""

    status: int
    json: Any

    @property
    def message(self) -> str:
        return self.json["error"]["message"]


@dataclass(frozen=True)
class Endpoint:
    """A running server."""

    address: str

    def get(self, path: str, **headers: str) -> Reply:
        return self._send(urllib.request.Request(self.address + path, headers=headers))

    def post(self, path: str, body: bytes, **headers: str) -> Reply:
        headers = {"Content-Type": "application/json", **headers}
        request = urllib.request.Request(self.address + path, data=body, headers=headers)
        return self._send(request)

    def complete(self, **values: Any) -> Reply:
        """Asks for completions; greedy ones unless a temperature is given."""
        values = {"temperature": 0, **values}
        return self.post("/v1/completions", json.dumps(values).encode())

    def choices(self, **values: Any) -> list[dict[str, Any]]:
        """Returns the choices of a request that must succeed."""
        reply = self.complete(**values)
        assert reply.status == 200, reply.json
        return reply.json["choices"]

    def _send(self, request: urllib.request.Request) -> Reply:
        try:
            with urllib.request.urlopen(request, timeout=120) as response:
                return Reply(response.status, json.load(response))
        except urllib.error.HTTPError as error:
            return Reply(error.code, json.load(error))


@contextlib.contextmanager
def serving(engine: Engine, served: Served) -> Iterator[Endpoint]:
    """Serves within the block; the engine runs in a thread of its own."""
    thread = threading.Thread(target=engine.run, daemon=True)
    thread.start()
    with contextlib.closing(bind("127.0.0.1", 0)) as sock:
        with running(make_app(served, engine), sock, on_end=engine.stop):
            yield Endpoint(url(sock))
        thread.join(60)
        assert not thread.is_alive()


@pytest.fixture(scope="session")
def served(tokenizer: TextTokenizer, pieces: Pieces, limits: Limits) -> Served:
    return Served(
        name=NAME, tokenizer=tokenizer, pieces=pieces, limits=limits, hosts=("127.0.0.1",)
    )


@pytest.fixture(scope="module")  # no longer: other tests replace the clock
def endpoint(compute: Compute, served: Served) -> Iterator[Endpoint]:
    with serving(Engine(compute), served) as found:
        yield found


def request_values(**values: Any) -> Mapping[str, Any]:
    """Returns the fields of a request for `read_request`."""
    return {"prompt": "The river", "max_tokens": 4, **values}
