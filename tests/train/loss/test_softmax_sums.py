"""The kernel runs in Pallas's interpreter here; `benchmarks/train_step.py` runs it on a GPU."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from codepretrain.train.loss.softmax_sums import one_pass, softmax_sums, two_passes

SCALE = 0.5
interpreted = functools.partial(one_pass, interpret=True)


def random_logits(num_ids, scale=1.0):
    return scale * jax.random.normal(jax.random.key(0), (5, num_ids), jnp.float32)


@pytest.mark.parametrize("num_ids", [1, 7, 2048, 2049, 5000])
@pytest.mark.parametrize("function", [softmax_sums, two_passes, interpreted])
def test_equals_the_formula_in_double_precision(function, num_ids):
    logits = random_logits(num_ids)
    exact = SCALE * np.float64(logits)
    maximum, total = function(logits, scale=SCALE)
    np.testing.assert_array_equal(maximum, SCALE * logits.max(-1))
    np.testing.assert_allclose(total, np.exp(exact - exact.max(-1)[:, None]).sum(-1), rtol=2e-6)


def test_large_and_masked_logits():
    """Logits of ±1e4 do not overflow, and those of minus infinity count nothing."""
    logits = random_logits(5000, scale=1e4).at[:, ::3].set(-jnp.inf)
    ours, plain = interpreted(logits, scale=SCALE), two_passes(logits, scale=SCALE)
    for found, expected in zip(ours, plain, strict=True):
        np.testing.assert_allclose(found, expected, rtol=2e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_passed_on(value):
    _, total = interpreted(random_logits(5000).at[2, 4500].set(value), scale=SCALE)
    assert list(np.isfinite(total)) == [True, True, False, True, True]


def test_lowers_for_a_gpu():
    logits = jax.ShapeDtypeStruct((8, 5000), jnp.float32)
    function = jax.jit(functools.partial(softmax_sums, scale=SCALE))
    text = function.trace(logits).lower(lowering_platforms=("cuda",)).as_text()
    assert "softmax_sums" in text
