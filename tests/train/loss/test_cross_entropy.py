import jax
import jax.numpy as jnp
import numpy as np
import pytest

from codepretrain.train.loss import whole
from codepretrain.train.loss.cross_entropy import cross_entropy, token_losses
from codepretrain.train.loss.layout import Blocks
from codepretrain.train.loss.logit_gradient import by_kernel

SCALE, Z = 0.5, 0.1


def example(*, B=2, T=7, D=16, V=37, dtype="float32"):
    keys = jax.random.split(jax.random.key(0), 4)
    hidden = jax.random.normal(keys[0], (B, T, D)).astype(dtype)
    embedding = jax.random.normal(keys[1], (V, D))
    targets = jax.random.randint(keys[2], (B, T), 0, V)
    weights = (jax.random.uniform(keys[3], (B, T)) > 0.3).astype(jnp.float32)
    return hidden, embedding, targets, weights


def plain(hidden, embedding, targets, weights):
    """The textbook formula on all logits at once."""
    logits = jnp.einsum("btd,vd->btv", hidden, embedding.astype(hidden.dtype))
    log_p = jax.nn.log_softmax(SCALE * logits.astype(jnp.float32))
    nats = -jnp.take_along_axis(log_p, targets[..., None], axis=-1)[..., 0]
    log_z = jax.nn.logsumexp(SCALE * logits.astype(jnp.float32), axis=-1)
    return jnp.sum(weights * nats) + Z * jnp.sum(weights * log_z**2)


def blocked(hidden, embedding, targets, weights, block_size, tokens=6, mesh=None):
    objective, _ = cross_entropy(
        hidden,
        embedding,
        targets,
        weights,
        logit_scale=SCALE,
        z_loss_coefficient=Z,
        blocks=Blocks(block_size, tokens, mesh),
    )
    return objective


def test_two_tokens_by_hand():
    # Logits 0 and ln 3 in either order: the probabilities are 1/4 and 3/4, log Z = ln 4.
    hidden = jnp.ones((1, 3, 1))
    embedding = jnp.array([[0.0], [np.log(3.0)]])
    objective, sums = cross_entropy(
        hidden,
        embedding,
        jnp.array([[0, 1, 1]]),
        jnp.array([[1.0, 1.0, 0.0]]),
        logit_scale=1.0,
        z_loss_coefficient=0.5,
        blocks=Blocks(1),
    )
    np.testing.assert_allclose(sums.nats, np.log(4) + np.log(4 / 3), rtol=1e-6)
    np.testing.assert_allclose(sums.z_loss, 2 * 0.5 * np.log(4) ** 2, rtol=1e-6)
    np.testing.assert_allclose(objective, sums.nats + sums.z_loss, rtol=1e-6)
    assert sums.num_targets == 2


@pytest.mark.parametrize(
    ("block_size", "dtype", "rtol"),
    [
        (1, "float32", 1e-5),
        (5, "float32", 1e-5),
        (36, "float32", 1e-5),
        (1000, "float32", 1e-5),
        (5, "bfloat16", 2e-2),
        (37, "bfloat16", 2e-2),
    ],
)
def test_blocked_equals_plain_with_gradients(block_size, dtype, rtol):
    arguments = example(dtype=dtype)
    value, gradients = jax.value_and_grad(plain, (0, 1))(*arguments)
    ours = jax.jit(jax.value_and_grad(blocked, (0, 1)), static_argnums=4)
    our_value, our_gradients = ours(*arguments, block_size)
    np.testing.assert_allclose(our_value, value, rtol=rtol / 10)
    for gradient, our_gradient in zip(gradients, our_gradients, strict=True):
        assert our_gradient.dtype == gradient.dtype
        gradient, our_gradient = np.float32(gradient), np.float32(our_gradient)
        scale = np.abs(gradient).max()
        np.testing.assert_allclose(our_gradient, gradient, rtol=0, atol=rtol * scale)


def test_bfloat16_does_not_depend_on_the_block_size():
    """Accumulation is float32 throughout, so the blocks only reorder float32 sums."""
    hidden, embedding, targets, weights = example(dtype="bfloat16")
    value = blocked(hidden, embedding, targets, weights, 37)
    for block_size in (5, 8):
        found = blocked(hidden, embedding, targets, weights, block_size)
        np.testing.assert_allclose(found, value, rtol=1e-6)


def test_token_losses_sum_to_nats():
    hidden, embedding, targets, _ = example()
    losses = token_losses(hidden, embedding, targets, logit_scale=SCALE, blocks=Blocks(8))
    logits = SCALE * np.float64(hidden) @ np.float64(embedding).T
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    expected = -np.log(np.take_along_axis(p, np.array(targets)[..., None], -1)[..., 0])
    np.testing.assert_allclose(losses, expected, rtol=1e-5)


def test_large_logits_do_not_overflow():
    hidden, embedding, targets, weights = example()
    value, gradients = jax.value_and_grad(blocked, (0, 1))(
        1e4 * hidden, embedding, targets, jnp.zeros_like(weights).at[0, 0].set(1.0), 8
    )
    assert np.isfinite(value)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_positions_without_weight_add_no_gradient():
    hidden, embedding, targets, weights = example()
    gradient = jax.grad(blocked)(hidden, embedding, targets, weights, 8)
    np.testing.assert_array_equal(gradient[weights == 0], 0)
    assert np.all(np.abs(gradient[weights == 1]).max(-1) > 0)


def intermediates(jaxpr):
    """Yields the shape of everything computed in a jaxpr, loops and calls included."""
    for equation in jaxpr.eqns:
        yield from (variable.aval.shape for variable in equation.outvars)
        for parameter in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda x: hasattr(x, "eqns")
        ):
            inner = getattr(parameter, "jaxpr", parameter)
            if hasattr(inner, "eqns"):
                yield from intermediates(inner)


def test_no_array_spans_tokens_and_vocabulary():
    B, T, D, V, W, C = 4, 64, 2, 101, 16, 64  # 7 blocks of ids, 4 of positions
    arguments = example(B=B, T=T, D=D, V=V)
    gradient = jax.grad(blocked, (0, 1))
    jaxpr = jax.make_jaxpr(gradient, static_argnums=(4, 5))(*arguments, W, C)
    sizes = [np.prod(shape) for shape in intermediates(jaxpr.jaxpr)]
    assert C * W in sizes  # the walk does see a block of logits
    assert max(sizes) == C * W


def mesh_of_eight(shape=(2, 2, 2)):
    axes = ("data", "fsdp", "tensor")
    return jax.make_mesh(shape, axes, axis_types=(jax.sharding.AxisType.Auto,) * 3)


def sharded(arguments, mesh):
    rows = jax.P(("data", "fsdp"))
    specs = (rows, jax.P("tensor", "fsdp"), rows, rows)
    return [
        jax.device_put(x, jax.NamedSharding(mesh, s)) for x, s in zip(arguments, specs, strict=True)
    ]


@pytest.mark.parametrize(
    ("block_size", "tokens", "dtype", "rtol"),
    [
        (7, 5, "float32", 1e-5),  # odd: 31 ids and 7 positions a device
        (100, 100, "float32", 1e-5),  # one block
        (7, 5, "bfloat16", 2e-2),
        (100, 100, "bfloat16", 2e-2),
    ],
)
def test_sharded_over_every_axis_equals_plain(block_size, tokens, dtype, rtol):
    """Vocabulary over `tensor`, D over `fsdp`, rows over both data axes: the same loss."""
    arguments, mesh = example(B=4, V=62, dtype=dtype), mesh_of_eight()
    value, gradients = jax.value_and_grad(plain, (0, 1))(*arguments)
    function = jax.jit(jax.value_and_grad(blocked, (0, 1)), static_argnums=(4, 5, 6))
    our_value, our_gradients = function(*sharded(arguments, mesh), block_size, tokens, mesh)
    np.testing.assert_allclose(our_value, value, rtol=rtol / 10)
    for gradient, our_gradient in zip(gradients, our_gradients, strict=True):
        assert our_gradient.dtype == gradient.dtype
        gradient, our_gradient = np.float32(gradient), np.float32(our_gradient)
        atol = rtol * np.abs(gradient).max()
        np.testing.assert_allclose(our_gradient, gradient, rtol=0, atol=atol)


def test_what_devices_send_each_other():
    """Blocks of the embedding along D, never all of it; nothing wider."""
    arguments, mesh = example(B=4, V=64), mesh_of_eight()
    function = jax.jit(jax.grad(blocked, (0, 1)), static_argnums=(4, 5, 6))
    compiled = function.lower(*sharded(arguments, mesh), 16, 100, mesh).compile().as_text()
    gathers = [line for line in compiled.splitlines() if " all-gather(" in line]
    assert len(gathers) == 2  # in the loops of forward and backward: blocks of 16 ids
    assert all("[16,16]" in line for line in gathers)


@pytest.mark.parametrize("shape", [(8, 1, 1), (2, 4, 1)])
def test_several_gpus_run_the_kernel_where_each_has_all_ids(shape):
    arguments, mesh = example(B=8), mesh_of_eight(shape)
    function = jax.jit(jax.grad(blocked, (0, 1)), static_argnums=(4, 5, 6))
    traced = function.trace(*sharded(arguments, mesh), 100, 100, mesh)
    assert "exponentials" in traced.lower(lowering_platforms=("cuda",)).as_text()


def test_the_kernel_on_several_devices_equals_plain(monkeypatch):
    def interpreted(*arguments, axes, **settings):
        assert axes.vocab is None
        return by_kernel(*arguments, **settings, interpret=True)

    monkeypatch.setattr(whole, "logit_gradient", interpreted)
    arguments, mesh = example(B=8), mesh_of_eight((2, 4, 1))
    gradients = jax.grad(plain, (0, 1))(*arguments)
    ours = jax.jit(jax.grad(blocked, (0, 1)), static_argnums=(4, 5, 6))(
        *sharded(arguments, mesh), 100, 4, mesh
    )
    for gradient, our_gradient in zip(gradients, ours, strict=True):
        np.testing.assert_allclose(our_gradient, gradient, rtol=1e-4, atol=1e-5)
