"""The kernel's form of the gradient against the formula, and the formula against autodiff."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from codepretrain.train.loss.layout import Axes
from codepretrain.train.loss.logit_gradient import (
    Objective,
    by_formula,
    by_kernel,
    logit_gradient,
)

C, V = 6, 2049
OBJECTIVE = Objective(logit_scale=0.5, z_loss_coefficient=0.1)
ONE_DEVICE = Axes(rows=(), vocab=None, embed=None)
FORMULA = functools.partial(by_formula, objective=OBJECTIVE, axes=ONE_DEVICE)
KERNEL = functools.partial(by_kernel, objective=OBJECTIVE, interpret=True)


def example():
    """One position without weight, one with a logit far above the target's, one sure of it."""
    keys = jax.random.split(jax.random.key(0), 3)
    products = 3 * jax.random.normal(keys[0], (C, V))
    target = jax.random.randint(keys[1], (C,), 0, V)
    weight = jax.random.uniform(keys[2], (C,)).at[3].set(0.0)
    products = products.at[1, (target[1] + 1) % V].set(900.0)
    products = products.at[2].add(-4000.0).at[2, target[2]].set(0.0)
    return products, target, 0.5 * products[jnp.arange(C), target], weight


def gradient(found):
    return np.float32(found.factor)[:, None] * np.asarray(found.values, np.float32)


def test_the_formula_equals_autodiff():
    products, target, target_logit, weight = example()

    def objective(products):
        logits = OBJECTIVE.logit_scale * products
        log_z = jax.nn.logsumexp(logits, axis=-1)
        nats = log_z - logits[jnp.arange(C), target]
        return jnp.sum(weight * (nats + OBJECTIVE.z_loss_coefficient * log_z**2))

    found = FORMULA(products, target, target_logit, weight, dtype=jnp.float32)
    np.testing.assert_allclose(gradient(found), jax.grad(objective)(products), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("dtype", "rtol"), [(jnp.float32, 2e-6), (jnp.bfloat16, 8e-3)])
def test_the_kernel_equals_the_formula(dtype, rtol):
    expected, found = (one(*example(), dtype=dtype) for one in (FORMULA, KERNEL))
    np.testing.assert_allclose(found.log_z, expected.log_z, rtol=1e-6)
    np.testing.assert_allclose(gradient(found), gradient(expected), rtol=rtol, atol=1e-9)
    assert not gradient(found)[3].any()


def rows_far_above_the_target(gaps):
    """Rows with the target's logit at 0 and one logit as far above it as `gaps` say."""
    products = jax.random.normal(jax.random.key(1), (len(gaps), V))
    products = products.at[:, 5].set(2 * jnp.asarray(gaps)).at[:, 9].set(0.0)  # the scale is 1/2
    return products, jnp.full(len(gaps), 9, jnp.int32), jnp.zeros(len(gaps))


@pytest.mark.parametrize("weight", [1.0, 1e-7])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_a_target_far_below_the_maximum_keeps_its_gradient(weight, dtype):
    """The sum may be large, but neither the factor nor its product with a weight may vanish."""
    gaps = [20.0, 40.0, 60.0, 75.0, 84.0, 86.0, 87.0, 87.4, 88.0, 100.0]
    arguments = *rows_far_above_the_target(gaps), jnp.full(len(gaps), weight)
    found, expected = (one(*arguments, dtype=dtype) for one in (KERNEL, FORMULA))
    tiny = {"rtol": 2e-5 if dtype == jnp.float32 else 8e-3, "atol": 1e-9 * weight}
    np.testing.assert_allclose(gradient(found), gradient(expected), **tiny)


def test_the_gradient_at_the_target_does_not_share_the_rounding_of_log_z():
    """log Z = 100,007 is known to 0.008; the sum of the exponentials, to a rounding."""
    products, target = jnp.full((1, V), 2e5), jnp.array([3], jnp.int32)
    plain = Objective(logit_scale=0.5, z_loss_coefficient=0.0)
    found = KERNEL(
        products, target, jnp.array([1e5]), jnp.ones(1), dtype=jnp.float32, objective=plain
    )
    np.testing.assert_allclose(gradient(found)[0, 3], 0.5 * (1 / V - 1), rtol=1e-6)


@pytest.mark.parametrize("nowhere", [V, -1])
@pytest.mark.parametrize("form", [FORMULA, KERNEL])
def test_a_target_on_no_id_takes_no_part(form, nowhere):
    products, _, _, weight = example()
    target = jnp.full((C,), nowhere, jnp.int32)
    found = form(products, target, jnp.zeros(C), weight, dtype=jnp.float32)
    assert np.isfinite(found.log_z).all()
    assert (gradient(found)[4] > 0).all()


def test_log_z_where_the_two_terms_of_its_gradient_cancel():
    """With log Z = -1 / (2 c) the factor would be 0, and the target's value infinite."""
    products, target, *_ = example()
    logits = 0.5 * products[4:5]
    products = 2 * (logits - jax.nn.logsumexp(logits) - 5.0)  # log Z = -5, c = 0.1
    target = target[4:5]
    arguments = products, target, 0.5 * products[0, target], jnp.ones(1)
    found, expected = (one(*arguments, dtype=jnp.float32) for one in (KERNEL, FORMULA))
    np.testing.assert_allclose(gradient(found), gradient(expected), rtol=1e-4, atol=1e-5)


def test_the_two_terms_cancel_in_a_row_far_above_the_target():
    products, target, target_logit = rows_far_above_the_target([80.0, 87.0])
    shift = jax.nn.logsumexp(0.5 * products, axis=-1) + 5.0
    products, target_logit = products - 2 * shift[:, None], target_logit - shift
    arguments = products, target, target_logit, jnp.ones(2)
    found, expected = (one(*arguments, dtype=jnp.bfloat16) for one in (KERNEL, FORMULA))
    np.testing.assert_allclose(gradient(found), gradient(expected), rtol=8e-3, atol=1e-5)


def test_a_gpu_gets_the_kernel():
    function = functools.partial(
        logit_gradient, objective=OBJECTIVE, dtype=jnp.bfloat16, axes=ONE_DEVICE
    )
    traced = jax.jit(function).trace(*example())
    on_gpu, on_cpu = (
        traced.lower(lowering_platforms=(name,)).as_text() for name in ("cuda", "cpu")
    )
    assert "exponentials" in on_gpu
    assert "custom_call" not in on_cpu
