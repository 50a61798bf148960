import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from codepretrain.config.schema import ModelConfig
from codepretrain.model.transformer import abstract_params, bind

TINY = ModelConfig(
    vocab_size=50,
    d_model=32,
    num_layers=3,
    num_heads=4,
    num_kv_heads=2,
    head_dim=8,
    d_ff=48,
    logit_scale=0.25,
    compute_dtype="float32",
)


@pytest.fixture(scope="session")
def tiny():
    """Returns the smallest configuration with every dim different, changed as asked."""
    return lambda **changes: dataclasses.replace(TINY, **changes)


@pytest.fixture(scope="session")
def noisy_params():
    """Returns random parameters, norm scales that are not one among them. Drawn without JAX."""

    def draw(config):
        rng = np.random.default_rng(0)

        def leaf(path, abstract):
            around = 1.0 if path[-1].key == "scale" else 0.0
            return jnp.array(around + 0.2 * rng.normal(size=abstract.shape), jnp.float32)

        return jax.tree_util.tree_map_with_path(leaf, abstract_params(config))

    return draw


@pytest.fixture(scope="session")
def forward():
    """Returns hidden states [B, T, D] of packed rows, jitted."""

    def hidden(config, params, inputs, positions, segment_ids, remat_policy="none"):
        model = bind(config, params, remat_policy=remat_policy, attention_kernel="reference")
        return model(inputs, positions=positions, segment_ids=segment_ids)

    return jax.jit(hidden, static_argnums=0, static_argnames="remat_policy")


@pytest.fixture(scope="session")
def packed():
    """Two rows [2, 12]: token_bytes of 5 and 4 tokens with 3 of padding, and one segment of 12."""
    inputs = jax.random.randint(jax.random.key(2), (2, 12), 1, TINY.vocab_size)
    positions = jnp.array([[0, 1, 2, 3, 4, 0, 1, 2, 3, 0, 0, 0], list(range(12))])
    segment_ids = jnp.array([[1] * 5 + [2] * 4 + [0] * 3, [1] * 12])
    return jnp.where(segment_ids > 0, inputs, 0), positions, segment_ids


@pytest.fixture
def cudnn_traces(monkeypatch):
    """Allows cuDNN attention to be traced and lowered on a machine without cuDNN and a GPU."""
    from jax._src.cudnn import fused_attention_stablehlo as library

    monkeypatch.setattr(library, "check_cudnn_version", lambda: 91000)
    monkeypatch.setattr(library, "check_compute_capability", lambda capability: True)
