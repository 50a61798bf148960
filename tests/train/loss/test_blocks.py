"""The loss on one device, by blocks of the vocabulary."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from codepretrain.train.loss.blocks import backward, forward
from codepretrain.train.loss.layout import Axes, Blocks

ONE_DEVICE = Axes(rows=(), vocab=None, embed=None)


def run_forward(blocks):
    keys = jax.random.split(jax.random.key(0), 3)
    hidden, embedding = jax.random.normal(keys[0], (2, 6, 8)), jax.random.normal(keys[1], (20, 8))
    targets = jax.random.randint(keys[2], (2, 6), 0, 20)
    arguments = {"logit_scale": 0.5, "blocks": blocks, "axes": ONE_DEVICE}
    return forward(hidden, embedding, targets, **arguments), (hidden, embedding, targets), arguments


@pytest.mark.parametrize(("size", "tokens"), [(20, 12), (7, 12), (20, 5), (7, 5)])
def test_forward_is_the_plain_formula(size, tokens):
    (target_logit, kept), (hidden, embedding, targets), _ = run_forward(Blocks(size, tokens))
    logits = 0.5 * np.float64(hidden) @ np.float64(embedding).T
    expected = np.take_along_axis(logits, np.array(targets)[..., None], -1)[..., 0]
    np.testing.assert_allclose(target_logit, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(kept.log_z, np.log(np.exp(logits).sum(-1)), rtol=1e-5)


@pytest.mark.parametrize(("size", "tokens"), [(20, 12), (7, 5)])
def test_backward_is_the_gradient_of_the_plain_formula(size, tokens):
    """With random cotangents of target logit and log Z."""
    (_, kept), (hidden, embedding, targets), arguments = run_forward(Blocks(size, tokens))
    keys = jax.random.split(jax.random.key(5))
    cotangents = [jax.random.normal(key, targets.shape) for key in keys]

    def plain(hidden, embedding):
        logits = 0.5 * jnp.einsum("btd,vd->btv", hidden, embedding)
        target = jnp.take_along_axis(logits, targets[..., None], -1)[..., 0]
        return target, jax.nn.logsumexp(logits, axis=-1)

    expected = jax.vjp(plain, hidden, embedding)[1](tuple(cotangents))
    found = backward(kept, *cotangents, **arguments)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
