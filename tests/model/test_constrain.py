import jax.numpy as jnp
import pytest

from codepretrain.model.constrain import unconstrained


def test_without_a_mesh_nothing_changes():
    x = jnp.ones((2, 3))
    assert unconstrained(x, ("batch", "tokens")) is x
    function = unconstrained.on_each_device(jnp.sin, inputs=(("batch",),), output=("batch",))
    assert function is jnp.sin


def test_every_dim_needs_a_name():
    with pytest.raises(AssertionError, match=r"\('batch',\) for an activation of shape \(2, 3\)"):
        unconstrained(jnp.ones((2, 3)), ("batch",))
