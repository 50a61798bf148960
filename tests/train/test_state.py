"""The first state does not depend on the mesh; what carries over at a branch; where leaves lie."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from codepretrain.config.schema import (
    MeshConfig,
    OptimizerConfig,
)
from codepretrain.errors import UserError
from codepretrain.train.sharding import make_mesh
from codepretrain.train.state import abstract_state, branch_state, init_state, state_shardings
from tests.configs import bare_study

CONFIG = bare_study(optimizer=OptimizerConfig(first_moment_dtype="bfloat16"), seed=3)


def same_bits(a, b):
    assert (a.dtype, a.shape) == (b.dtype, b.shape)
    np.testing.assert_array_equal(np.asarray(a).view(np.uint8), np.asarray(b).view(np.uint8))


@functools.cache  # one compilation takes seconds
def initial(**mesh):
    num_devices = math.prod(mesh.values())
    return init_state(
        CONFIG, make_mesh(MeshConfig(**mesh), jax.devices()[:num_devices]), seed=CONFIG.seed
    )


def test_the_mesh_changes_no_bit():
    one, eight = initial(fsdp=1), initial(fsdp=4, tensor=2)
    jax.tree.map(lambda a, b: same_bits(a[None], b[None]), one, eight)


def test_abstract_state_is_that_of_the_state():
    abstract = abstract_state(CONFIG, make_mesh(MeshConfig(fsdp=4, tensor=2)))
    jax.tree.map(
        lambda x, a: (
            (x.shape, x.dtype, x.sharding) == (a.shape, a.dtype, a.sharding)
            or pytest.fail(f"{x.sharding} is not {a.sharding}")
        ),
        initial(fsdp=4, tensor=2),
        abstract,
    )


def test_moments_lie_as_their_parameters():
    shardings = state_shardings(CONFIG, make_mesh(MeshConfig(fsdp=4, tensor=2)))
    assert shardings.opt_state.mu == shardings.params
    assert shardings.opt_state.nu == shardings.params
    assert shardings.params["embedding"].spec == PartitionSpec("tensor", "fsdp")
    assert shardings.params["blocks"]["mlp"]["down"]["kernel"].spec == PartitionSpec(
        None, "tensor", "fsdp"
    )


def test_a_model_that_does_not_fit_the_mesh():
    with pytest.raises(UserError, match=r"blocks/attention/key/kernel: dim 'kv_heads' of size"):
        abstract_state(CONFIG, make_mesh(MeshConfig(fsdp=2, tensor=4)))


def trained(mesh):
    state = initial(fsdp=4, tensor=2)
    counted = jax.tree.map(lambda x: x + jnp.ones((), x.dtype), state.opt_state)
    five = jax.device_put(jnp.int32(5), state.step.sharding)
    return dataclasses.replace(
        state,
        opt_state=jax.device_put(counted, state_shardings(CONFIG, mesh).opt_state),
        step=five,
        num_skipped=five,
        num_consecutive_skipped=five,
        gradient_norm_mean=five.astype(jnp.float32),
    )


@pytest.mark.parametrize("carry_optimizer", [True, False])
def test_branch(carry_optimizer):
    mesh = make_mesh(MeshConfig(fsdp=4, tensor=2))
    parent = trained(mesh)
    state = branch_state(CONFIG, mesh, parent, carry_optimizer=carry_optimizer)
    jax.tree.map(same_bits, state.params, parent.params)
    moments = parent.opt_state if carry_optimizer else initial(fsdp=4, tensor=2).opt_state
    jax.tree.map(lambda a, b: same_bits(a[None], b[None]), state.opt_state, moments)
    for counter in ("step", "num_skipped", "num_consecutive_skipped", "gradient_norm_mean"):
        assert getattr(state, counter) == 0
    assert jax.tree.map(lambda x: x.sharding, state) == jax.tree.map(
        lambda x: x.sharding, abstract_state(CONFIG, mesh)
    )
