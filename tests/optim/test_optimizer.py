"""Agreement with `optax.adamw` step for step, one update by hand, and the decay mask."""

import dataclasses
import doctest

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from codepretrain.config.schema import OptimizerConfig
from codepretrain.model.presets import preset
from codepretrain.model.transformer import abstract_params
from codepretrain.optim import optimizer as optimizer_module
from codepretrain.optim.optimizer import DECAYS, AdamW, decay_mask
from tests.compilations import num_compilations


@pytest.fixture
def params():
    keys = jax.random.split(jax.random.key(0), 3)
    return {
        "embedding": jax.random.normal(keys[0], (7, 4)),
        "blocks": {
            "norm": {"scale": jnp.ones((2, 4))},
            "mlp": {"up": {"kernel": jax.random.normal(keys[1], (2, 4, 6))}},
        },
        "unembedding": jax.random.normal(keys[2], (7, 4)),
    }


def gradients_at(step: int, params):
    """Of varying size, so that some steps are clipped and some are not."""
    leaves, treedef = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.fold_in(jax.random.key(1), step), len(leaves))
    size = [0.01, 1.0, 30.0][step % 3]
    return jax.tree.unflatten(
        treedef,
        [size * jax.random.normal(k, leaf.shape) for k, leaf in zip(keys, leaves, strict=True)],
    )


@pytest.mark.parametrize("decay_embeddings", [True, False])
def test_agrees_with_optax_step_for_step(params, decay_embeddings):
    config = OptimizerConfig(max_gradient_norm=1.0, decay_embeddings=decay_embeddings)
    optimizer = AdamW(config)
    rates = [0.0, 1e-3, 3e-3, 1e-2, 1e-4, 1e-3]
    mask = decay_mask(params, decay_embeddings=decay_embeddings)
    reference = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.inject_hyperparams(optax.adamw, static_args=("mask",))(
            learning_rate=0.0, b1=0.9, b2=0.95, eps=1e-8, weight_decay=0.1, mask=mask
        ),
    )
    expected, reference_state = params, reference.init(params)
    found, state = params, optimizer.init(params)
    update = jax.jit(optimizer.update)

    @jax.jit
    def reference_update(gradients, state, params):
        with jax.numpy_dtype_promotion("standard"):
            updates, state = reference.update(gradients, state, params)
        return optax.apply_updates(params, updates), state

    for step, rate in enumerate(rates):
        gradients = gradients_at(step, params)
        reference_state[1].hyperparams["learning_rate"] = jnp.float32(rate)
        expected, reference_state = reference_update(gradients, reference_state, expected)
        found, state, norm = update(
            gradients,
            state,
            found,
            learning_rate=jnp.float32(rate),
            weight_decay=jnp.float32(0.1),
        )
        np.testing.assert_allclose(norm, optax.tree.norm(gradients), rtol=1e-6)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-7), found, expected
        )
    assert num_compilations(update) == 1


def test_one_update_by_hand():
    # The first Adam direction is sign(g): 1·g/(√(g²) + 0). p - η(d + λp) = 2 - 0.1(1 + 0.5·2).
    optimizer = AdamW(OptimizerConfig(epsilon=0.0))
    params = {"kernel": jnp.array([2.0]), "scale": jnp.array([2.0])}
    gradients = {"kernel": jnp.array([3.0]), "scale": jnp.array([4.0])}
    new, state, norm = optimizer.update(
        gradients,
        optimizer.init(params),
        params,
        learning_rate=jnp.float32(0.1),
        weight_decay=jnp.float32(0.5),
    )
    assert norm == 5.0
    assert state.count == 1
    np.testing.assert_allclose(new["kernel"], [1.8], rtol=1e-6)
    np.testing.assert_allclose(new["scale"], [1.9], rtol=1e-6)
    np.testing.assert_allclose(state.mu["kernel"], [0.1 * 3.0 / 5.0], rtol=1e-6)  # clipped to 1


def test_first_moment_in_bfloat16_is_rounded_once(params):
    gradients = gradients_at(1, params)
    rates = {"learning_rate": jnp.float32(1e-3), "weight_decay": jnp.float32(0.1)}
    half, full = (
        AdamW(OptimizerConfig(first_moment_dtype=dtype)) for dtype in ("bfloat16", "float32")
    )
    found, state, _ = half.update(gradients, half.init(params), params, **rates)
    expected, expected_state, _ = full.update(gradients, full.init(params), params, **rates)
    assert {leaf.dtype for leaf in jax.tree.leaves(state.mu)} == {jnp.dtype("bfloat16")}
    assert {leaf.dtype for leaf in jax.tree.leaves(state.nu)} == {jnp.dtype("float32")}
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    jax.tree.map(
        lambda a, b: np.testing.assert_array_equal(a, b.astype(jnp.bfloat16)),
        state.mu,
        expected_state.mu,
    )


def test_decay_mask(params):
    expected = {
        "embedding": False,
        "blocks": {"norm": {"scale": False}, "mlp": {"up": {"kernel": True}}},
        "unembedding": False,
    }
    assert decay_mask(params, decay_embeddings=False) == expected
    assert decay_mask(params, decay_embeddings=True)["unembedding"] is True


def test_a_leaf_without_a_rule_and_a_rule_without_a_leaf_are_errors():
    for name in ("weights", "output_embedding", "position_embedding"):
        with pytest.raises(AssertionError, match=f"no rule says whether head/{name} decays"):
            decay_mask({"head": {name: 0.0}}, decay_embeddings=True)
    with pytest.raises(AssertionError, match="no leaf is called 'embedding'"):
        decay_mask({"kernel": 0.0}, decay_embeddings=False)


@pytest.mark.parametrize("tied", [True, False])
def test_the_rules_name_the_leaves_of_the_model(tied):
    config = dataclasses.replace(preset("30m"), num_layers=1, tie_embeddings=tied, use_qk_norm=True)
    params = abstract_params(config)
    mask = decay_mask(params, decay_embeddings=False)
    excluded = {
        jax.tree_util.keystr(path, simple=True, separator="/")
        for path, decays in jax.tree_util.tree_leaves_with_path(mask)
        if not decays
    }
    embeddings = {"embedding"} if tied else {"embedding", "unembedding"}
    assert excluded == embeddings | {
        "blocks/norm/scale",
        "blocks/attention/query_norm/scale",
        "blocks/attention/key_norm/scale",
        "final_norm/scale",
    }
    names = {
        jax.tree_util.keystr(path[-1:], simple=True)
        for path, _ in jax.tree_util.tree_leaves_with_path(params)
    }
    assert names == set(DECAYS) - ({"unembedding"} if tied else set())


def test_the_examples_of_the_docstrings():
    assert doctest.testmod(optimizer_module) == (0, 8)
