"""What each policy saves, and what the gradient of a model then runs of each attention kernel.

Kernels are counted in the jaxpr of the gradient, after code that no output needs is removed.
Nothing is compiled or run, so kernels for other devices are counted as well.
"""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.interpreters import partial_eval

from codepretrain.config import values
from codepretrain.config.schema import MeshConfig
from codepretrain.errors import UserError
from codepretrain.model.attention_kernels import AttentionKernel
from codepretrain.model.constrain import unconstrained
from codepretrain.model.kernels.cudnn import CAPACITIES
from codepretrain.model.remat import REMAT_POLICIES, checked_policy
from codepretrain.model.transformer import abstract_params, bind
from codepretrain.train.sharding import Constrain, make_mesh


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
    scans = [e for e in equations(jaxpr.jaxpr) if e.primitive.name == "scan"]
    return [str(v.aval) for v in scans[0].outvars]


def equations(jaxpr) -> Iterator:
    """Yields every equation of a jaxpr and of the jaxprs within it, except those of kernels."""
    for equation in jaxpr.eqns:
        yield equation
        if equation.primitive.name == "pallas_call":
            continue
        values = list(equation.params.values())
        for value in jax.tree.leaves(values, is_leaf=lambda x: hasattr(x, "eqns")):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from equations(inner)


def test_what_each_policy_keeps(gradients):
    x, query, keys = "float32[3,2,12,32]", "float32[3,2,12,4,8]", "float32[3,2,12,2,8]"
    full = saved_shapes(gradients, "full")
    assert full.count(x) == 1
    assert query not in full
    attention = saved_shapes(gradients, "save_attention")
    assert attention.count(query) == 2  # the query and the attention output
    assert attention.count(keys) == 2
    # The softmax's maxima, by key-value head and group, and its sums, by query head.
    assert attention.count("float32[3,2,2,2,12,1]") == 1
    assert attention.count("float32[3,2,12,4,1]") == 1
    assert not [s for s in attention if "48" in s]  # nothing of the MLP
    products = saved_shapes(gradients, "save_products")
    assert products.count("float32[3,2,12,48]") == 2  # gate and up, not their product
    assert len(products) == len(attention) + 2


def test_none_keeps_no_activation_twice(gradients):
    """What the backward products read, and inputs of the elementwise functions between them."""
    saved = saved_shapes(gradients, "none")
    assert saved.count("float32[3,2,12,32]") == 2  # block input, and the norm's output
    assert saved.count("float32[3,2,12,48]") == 2  # gate and up
    assert saved.count("float32[3,2,12,4,8]") == 1  # attention output
    assert saved.count("float32[3,2,2,2,12,12]") == 1  # exponentials of the scores


def test_save_products_computes_no_matrix_product_of_the_mlp_again(gradients):
    """Nor any other of the model but the scores, within the backward pass of attention."""

    def num_products(policy):
        function, params = gradients
        jaxpr = jax.make_jaxpr(function, static_argnums=1)(params, policy).jaxpr
        live, _ = partial_eval.dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars), instantiate=True)
        found = [e for e in equations(live) if e.primitive.name == "dot_general"]
        return sum(not e.params["dimension_numbers"][1][0] for e in found)  # not attention's

    assert num_products("save_attention") - num_products("save_products") == 2
    assert num_products("save_products") == num_products("none")


def test_the_config_knows_every_policy():
    assert tuple(sorted(REMAT_POLICIES)) == values.REMAT_POLICIES


def test_an_unknown_policy_is_named_with_those_there_are():
    with pytest.raises(UserError, match=r"remat_policy.*'ful'.*full, none, offload, save_att"):
        checked_policy("ful")


def gradient_equations(config, kernel, *, policy, constrain=unconstrained) -> list:
    """Returns the equations that the gradient of a model runs."""
    ids = jax.ShapeDtypeStruct((8, 256), jnp.int32)

    def loss(params, ids):
        model = bind(
            config, params, remat_policy=policy, attention_kernel=kernel, constrain=constrain
        )
        hidden = model(ids, positions=ids, segment_ids=ids)
        return jnp.sum(hidden.astype(jnp.float32))

    jaxpr = jax.make_jaxpr(jax.grad(loss))(abstract_params(config), ids).jaxpr
    live, _ = partial_eval.dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))
    return list(equations(live))


def test_blocked_keeps_queries_keys_and_values_whole(tiny):
    """Not in parts per block of queries, where keys and values would be kept 2.5 times."""
    found = gradient_equations(tiny(), AttentionKernel("blocked"), policy="none")
    scan = next(e for e in found if e.primitive.name == "scan")
    saved = [str(v.aval) for v in scan.outvars]
    assert saved.count("float32[3,8,2,2,256,8]") == 1  # queries
    assert saved.count("float32[3,8,2,256,8]") == 2  # keys and values
    assert [s for s in saved if ",64," in s] == [  # exponentials of the scores of four blocks
        f"float32[3,8,2,2,64,{num_keys}]" for num_keys in (64, 128, 192, 256)
    ]


# Kernel → the name of its forward kernel, or its primitive's.
FORWARD = {
    "pallas_gpu": "mha_forward",
    "cudnn": "dot_product_attention_fwd_wrapper",
    "splash": "splash_mha_fwd",
}


def runs(found: list, name: str) -> int:
    """Returns how many equations run the kernel or primitive `name`."""
    names = [
        e.params["name"] if e.primitive.name == "pallas_call" else e.primitive.name for e in found
    ]
    return sum(one.startswith(name) for one in names)


@pytest.mark.parametrize("name", FORWARD)
@pytest.mark.parametrize(("policy", "times"), [("none", 1), ("save_attention", 1), ("full", 2)])
@pytest.mark.parametrize("on_mesh", [False, True])
@pytest.mark.usefixtures("cudnn_traces")
def test_forward_kernels_run_once_where_their_results_are_saved(tiny, name, policy, times, on_mesh):
    config = tiny(head_dim=64, compute_dtype="bfloat16")
    mesh = make_mesh(MeshConfig(data=2, fsdp=2, tensor=2))
    constrain = Constrain(mesh) if on_mesh else unconstrained
    found = gradient_equations(config, AttentionKernel(name), policy=policy, constrain=constrain)
    variants = len(CAPACITIES) if name == "cudnn" else 1
    assert runs(found, FORWARD[name]) == variants * times
    if name == "cudnn":  # the kernel for rows of many documents
        assert runs(found, "mha_forward") == times


@pytest.mark.parametrize(("name", "blocks"), [("reference", 1), ("blocked", 4)])
@pytest.mark.parametrize(("policy", "again"), [("none", 0), ("save_attention", 1), ("full", 2)])
def test_products_of_the_plain_formula(tiny, name, blocks, policy, again):
    """2 forward, 4 backward; `save_attention` computes the scores again and nothing else.

    Attention's are the only products with batch dims. Maxima are computed once where they are kept.
    """
    found = gradient_equations(tiny(), AttentionKernel(name), policy=policy)
    products = [e for e in found if e.primitive.name == "dot_general"]
    batched = [e for e in products if e.params["dimension_numbers"][1][0]]
    assert len(batched) == blocks * (2 + 4 + again)
    maxima = sum(e.primitive.name == "reduce_max" for e in found)
    assert maxima == blocks * (2 if policy == "full" else 1)
