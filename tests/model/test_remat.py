import jax
import jax.numpy as jnp
import numpy as np
import pytest

from codepretrain.errors import UserError
from codepretrain.model.remat import REMAT_POLICIES, checked_policy


@pytest.fixture(scope="module")
def gradients(tiny, noisy_params, forward, packed):
    config = tiny()
    params = noisy_params(config)

    def loss(params, policy):
        hidden = forward(config, params, *packed, remat_policy=policy)
        return jnp.sum(hidden[:, :, 0] ** 2)

    return jax.jit(jax.grad(loss), static_argnums=1), params


@pytest.mark.parametrize("policy", sorted(REMAT_POLICIES.keys() - {"none"}))
def test_every_policy_gives_the_same_gradients(gradients, policy):
    function, params = gradients
    expected, ours = function(params, "none"), function(params, policy)
    for a, b in zip(jax.tree.leaves(expected), jax.tree.leaves(ours), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5)


def saved_shapes(gradients, policy):
    """Returns the shapes of what the forward scan hands to the backward scan, per layer stack."""
    function, params = gradients
    jaxpr = jax.make_jaxpr(function, static_argnums=1)(params, policy)
    return [str(v.aval) for v in scans(jaxpr.jaxpr)[0].outvars]


def scans(jaxpr):
    found = []
    for equation in jaxpr.eqns:
        if equation.primitive.name == "scan":
            found.append(equation)
        for parameter in equation.params.values():
            inner = getattr(parameter, "jaxpr", parameter)
            if hasattr(inner, "eqns") and equation.primitive.name != "scan":
                found += scans(inner)
    return found


def test_what_each_policy_keeps(gradients):
    x, query, keys = "float32[3,2,12,32]", "float32[3,2,12,4,8]", "float32[3,2,12,2,8]"
    full = saved_shapes(gradients, "full")
    assert full.count(x) == 1
    assert query not in full
    attention = saved_shapes(gradients, "save_attention")
    assert attention.count(query) == 2  # query and attention output
    assert attention.count(keys) == 2
    assert not [s for s in attention if "48" in s]  # nothing of the MLP
    assert [s for s in saved_shapes(gradients, "none") if "2,12,48" in s]


def test_an_unknown_policy_is_named_with_those_there_are():
    with pytest.raises(UserError, match=r"remat_policy.*'ful'.*full, none, offload, save_att"):
        checked_policy("ful")
