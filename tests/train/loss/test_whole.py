"""The gradients that the forward pass computes, where one block covers the vocabulary."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from codepretrain.train.loss.cross_entropy import cross_entropy
from codepretrain.train.loss.layout import Axes, Blocks
from codepretrain.train.loss.whole import forward_with_gradients, is_whole

SCALE, Z = 0.5, 0.1


def example(*, B=2, T=6, D=8, V=20):
    keys = jax.random.split(jax.random.key(0), 4)
    hidden, embedding = (
        jax.random.normal(keys[0], (B, T, D)),
        jax.random.normal(keys[1], (V, D)),
    )
    targets = jax.random.randint(keys[2], (B, T), 0, V)
    return hidden, embedding, targets, jax.random.uniform(keys[3], (B, T))


@pytest.mark.parametrize("tokens", [12, 5, 1])
def test_equals_the_plain_formula(tokens):
    hidden, embedding, targets, weights = example()

    def plain(hidden, embedding):
        logits = SCALE * jnp.einsum("btd,vd->btv", hidden, embedding)
        target = jnp.take_along_axis(logits, targets[..., None], -1)[..., 0]
        log_z = jax.nn.logsumexp(logits, axis=-1)
        return jnp.sum(weights * (log_z - target + Z * log_z**2)), (target, log_z)

    (_, aux), gradients = jax.value_and_grad(plain, (0, 1), has_aux=True)(hidden, embedding)
    *found, ours = forward_with_gradients(
        hidden,
        embedding,
        targets,
        weights,
        logit_scale=SCALE,
        z_loss_coefficient=Z,
        blocks=Blocks(20, tokens),
        axes=Axes(rows=(), vocab=None, embed=None),
    )
    for value, expected in zip([*found, *ours], [*aux, *gradients], strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)


def test_is_whole():
    assert is_whole(20, Blocks(20))
    assert is_whole(20, Blocks(1000))
    assert not is_whole(20, Blocks(19))


@pytest.mark.parametrize("size", [20, 7])
def test_the_cotangent_scales_the_gradients(size):
    def scaled(factor, hidden, embedding):
        *_, targets, weights = example()
        objective, _ = cross_entropy(
            hidden,
            embedding,
            targets,
            weights,
            logit_scale=SCALE,
            z_loss_coefficient=Z,
            blocks=Blocks(size, 5),
        )
        return factor * objective

    hidden, embedding, *_ = example()
    once = jax.grad(scaled, (1, 2))(1.0, hidden, embedding)
    thrice = jax.grad(scaled, (1, 2))(3.0, hidden, embedding)
    for a, b in zip(once, thrice, strict=True):
        np.testing.assert_allclose(b, 3 * a, rtol=1e-5, atol=1e-6)


def products_with_the_vocabulary(size):
    """Returns how many products with an embedding of 20 ids the gradient computes."""
    hidden, embedding, targets, weights = example()

    def objective(hidden, embedding):
        value, _ = cross_entropy(
            hidden,
            embedding,
            targets,
            weights,
            logit_scale=SCALE,
            z_loss_coefficient=Z,
            blocks=Blocks(size, 12),
        )
        return value

    text = jax.jit(jax.grad(objective, (0, 1))).lower(hidden, embedding).as_text()
    return text.count("stablehlo.dot_general")


def test_the_logits_are_computed_once():
    assert products_with_the_vocabulary(20) == 3
    assert products_with_the_vocabulary(10) == 4


def test_the_kernel_reads_the_product_itself():
    """Anything between the two, such as a scale, would be written to memory as an array [C, V]."""
    hidden, embedding, targets, weights = example()
    function = functools.partial(
        forward_with_gradients,
        logit_scale=SCALE,
        z_loss_coefficient=Z,
        blocks=Blocks(20, 12),
        axes=Axes(rows=(), vocab=None, embed=None),
    )
    traced = jax.jit(function).trace(hidden, embedding, targets, weights)
    text = traced.lower(lowering_platforms=("cuda",)).as_text()
    kernel = re.search(r"custom_call @__gpu\$xla\.gpu\.triton\((%[\w#]+),", text)
    assert kernel
    assert re.search(re.escape(kernel[1]) + r" = stablehlo\.dot_general ", text)
