"""A tiny model over bytes, and prepared validation rows, for every test of the evaluations."""

import jax
import numpy as np
import pytest
from jax.sharding import Mesh

from codepretrain.config import MeshConfig, ModelConfig
from codepretrain.model.transformer import Params, init_params, logical_axes
from codepretrain.sharding import make_mesh, param_shardings
from codepretrain.vocabulary import Vocabulary

TEXT = b"\n abcdefghijklmnopqrstuvwxyz0123456789+-*/()[]{},.:=_'\"#"
NUM_SPECIALS = 3


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    """Ids: pad 0, bos 1, eos 2, then one for each byte of TEXT, then empty pieces up to 64."""
    pieces = [b"", b"", b"", *(bytes([byte]) for byte in TEXT)]
    return Vocabulary(pieces + [b""] * (64 - len(pieces)), bos=1, eos=2, pad=0)


@pytest.fixture(scope="session")
def model_config() -> ModelConfig:
    return ModelConfig(
        vocab_size=64,
        d_model=16,
        num_layers=2,
        num_heads=4,
        num_kv_heads=2,
        head_dim=4,
        d_ff=32,
        logit_scale=4.0,
        compute_dtype="float32",
    )


@pytest.fixture(scope="session")
def mesh() -> Mesh:
    """All eight devices: 2 × 2 over rows and parameters, 2 within layers."""
    return make_mesh(MeshConfig(data=2, fsdp=2, tensor=2))


@pytest.fixture(scope="session")
def params(model_config: ModelConfig) -> Params:
    """On one device, for reference computations."""
    return jax.jit(init_params, static_argnums=0)(model_config, jax.random.key(0))


@pytest.fixture(scope="session")
def sharded_params(params: Params, model_config: ModelConfig, mesh: Mesh) -> Params:
    shardings = param_shardings(logical_axes(model_config), params, mesh)
    return jax.tree.map(lambda x, s: jax.device_put(np.asarray(x), s), params, shardings)


@pytest.fixture
def encode() -> "callable":
    def encode(text: str) -> list[int]:
        return [TEXT.index(byte) + NUM_SPECIALS for byte in text.encode()]

    return encode
