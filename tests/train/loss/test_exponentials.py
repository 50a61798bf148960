"""The kernel runs in Pallas's interpreter here; `benchmarks/train_step.py` runs it on a GPU."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from codepretrain.train.loss.exponentials import exponentials

SCALE = 0.5


def logits_of(num_ids, *, scale=1.0):
    return scale * jax.random.normal(jax.random.key(0), (5, num_ids), jnp.float32)


def computed(logits, reference, dtype=jnp.float32):
    return exponentials(logits, reference, scale=SCALE, dtype=dtype, interpret=True)


@pytest.mark.parametrize("num_ids", [1, 7, 1024, 1025, 5000])
@pytest.mark.parametrize(("dtype", "rtol"), [(jnp.float32, 2e-6), (jnp.bfloat16, 4e-3)])
def test_equals_the_formula_in_double_precision(num_ids, dtype, rtol):
    logits, reference = logits_of(num_ids), jnp.linspace(-3.0, 3.0, 5)
    found = computed(logits, reference, dtype)
    exact = np.exp(SCALE * np.float64(logits) - np.float64(reference)[:, None])
    assert found.values.dtype == dtype
    np.testing.assert_array_equal(found.reference, reference)
    np.testing.assert_allclose(np.float64(found.values), exact, rtol=rtol)
    np.testing.assert_allclose(found.total, exact.sum(-1), rtol=2e-6)


@pytest.mark.parametrize("far", [300.0, -300.0])
def test_a_reference_too_far_away_is_replaced_by_the_maximum(far):
    """The sum of such a row overflows or vanishes; the other rows keep theirs."""
    logits, reference = logits_of(5000), jnp.zeros(5).at[2].set(far)
    found = computed(logits, reference)
    maximum = SCALE * logits[2].max()
    np.testing.assert_array_equal(found.reference, jnp.zeros(5).at[2].set(maximum))
    exact = np.exp(SCALE * np.float64(logits) - np.float64(found.reference)[:, None])
    np.testing.assert_allclose(found.values, exact, rtol=2e-6)
    np.testing.assert_allclose(found.total, exact.sum(-1), rtol=2e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_passed_on(value):
    found = computed(logits_of(5000).at[2, 4500].set(value), jnp.zeros(5))
    assert list(np.isfinite(found.total)) == [True, True, False, True, True]
