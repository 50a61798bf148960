"""The step against a plain one, on meshes and in micro-batches; what it skips; one compilation."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from codepretrain.config.schema import (
    ExecutionConfig,
    MeshConfig,
    StudyConfig,
    TrainingConfig,
)
from codepretrain.errors import UserError
from codepretrain.model.remat import REMAT_POLICIES
from codepretrain.model.transformer import bind
from codepretrain.optim.optimizer import decay_mask
from codepretrain.stream.batch import Batch
from codepretrain.train.sharding import global_batch, make_mesh
from codepretrain.train.state import TrainState, abstract_state
from codepretrain.train.step import (
    compile_train_step,
    make_eval_step,
    make_train_step,
)
from tests.compilations import num_compilations
from tests.configs import TINY_MODEL, bare_study

CONFIG = bare_study(
    dataclasses.replace(TINY_MODEL, compute_dtype="float32"),
    training=TrainingConfig(batch_size=16, z_loss_coefficient=1e-2),
    execution=ExecutionConfig(loss_vocab_block=20),
)
WEIGHT_DECAY = np.float32(0.1)


def with_microbatches(num: int) -> StudyConfig:
    execution = dataclasses.replace(CONFIG.execution, num_microbatches=num)
    return dataclasses.replace(CONFIG, execution=execution)


def mesh_of(**fields):
    return make_mesh(MeshConfig(**fields), jax.devices()[: math.prod(fields.values())])


def abstract(mesh=None) -> TrainState:
    return abstract_state(CONFIG, mesh or mesh_of(fsdp=1))


@functools.cache
def initial() -> TrainState:
    """Random parameters and zero moments, as numpy, since a step donates its state."""
    rng = np.random.default_rng(0)
    state = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), abstract())
    params = jax.tree.map(
        lambda leaf: rng.normal(0.0, 0.2, leaf.shape).astype(np.float32), state.params
    )
    return dataclasses.replace(state, params=params)


def state_on(mesh, **changes) -> TrainState:
    shardings = jax.tree.map(lambda leaf: leaf.sharding, abstract(mesh))
    return jax.device_put(dataclasses.replace(initial(), **changes), shardings)


@functools.cache
def step_on(num_microbatches, **fields):
    return make_train_step(with_microbatches(num_microbatches), mesh_of(**fields))


def rows(step: int, num_rows: int = 16) -> Batch:
    """Packed rows of two documents each, the loss weights so uneven that one row has none."""
    rng = np.random.default_rng(step)
    tokens = rng.integers(1, 64, (num_rows, 9), dtype=np.int32)
    lengths = rng.integers(2, 7, (num_rows, 1))
    at = np.arange(8, dtype=np.int32)[None]
    weights = (rng.random((num_rows, 8)) < np.linspace(0, 1, num_rows)[:, None]).astype(np.float32)
    return Batch(
        inputs=tokens[:, :-1],
        targets=tokens[:, 1:],
        loss_weights=weights,
        positions=np.where(at < lengths, at, at - lengths).astype(np.int32),
        segment_ids=np.where(at < lengths, 1, 2).astype(np.int32),
    )


def run(num_steps: int, *, num_microbatches: int = 1, **fields):
    mesh, step = mesh_of(**fields), step_on(num_microbatches, **fields)
    state, history = state_on(mesh), []
    for i in range(num_steps):
        rate = np.float32(1e-3 * (i + 1))
        state, metrics = step(state, global_batch(rows(i), mesh), rate, WEIGHT_DECAY)
        history.append(jax.tree.map(float, metrics))
    return jax.tree.map(np.asarray, state), history


def assert_close(found, expected):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-6), found, expected
    )


def same_bits(a, b):
    jax.tree.map(lambda x, y: np.testing.assert_array_equal(np.asarray(x), np.asarray(y)), a, b)


def plain_losses(params, batch: Batch):
    """Nats and squared log Z at every position, from whole logits."""
    model = bind(CONFIG.model, params, remat_policy="none", attention_kernel="reference")
    hidden = model(batch.inputs, positions=batch.positions, segment_ids=batch.segment_ids)
    logits = model.logits(hidden)
    log_z = jax.nn.logsumexp(logits, axis=-1)
    return optax.softmax_cross_entropy_with_integer_labels(logits, batch.targets), log_z**2


def test_agrees_with_a_plain_step():
    config = CONFIG.optimizer
    params = jax.tree.map(jnp.asarray, initial().params)
    optimizer = optax.chain(
        optax.clip_by_global_norm(config.max_gradient_norm),
        optax.adamw(
            lambda count: 1e-3 * (count.astype(jnp.float32) + 1),
            b1=config.beta1,
            b2=config.beta2,
            weight_decay=0.1,
            mask=decay_mask(params, decay_embeddings=True),
        ),
    )

    def objective(params, batch):
        nats, squares = plain_losses(params, batch)
        weights = batch.loss_weights / jnp.sum(batch.loss_weights)
        return jnp.sum(weights * (nats + 1e-2 * squares)), jnp.sum(weights * nats)

    @jax.jit
    def plain_step(params, opt_state, batch):
        (_, loss), gradients = jax.value_and_grad(objective, has_aux=True)(params, batch)
        with jax.numpy_dtype_promotion("standard"):
            updates, opt_state = optimizer.update(gradients, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, loss

    opt_state, losses = optimizer.init(params), []
    for i in range(3):
        params, opt_state, loss = plain_step(params, opt_state, rows(i))
        losses.append(loss)
    state, history = run(3, fsdp=1)
    assert_close(state.params, params)
    assert_close([metrics.loss for metrics in history], losses)
    np.testing.assert_allclose(history[-1].parameter_norm, optax.tree.norm(params), rtol=1e-5)


@pytest.mark.parametrize("mesh", [{"fsdp": 8}, {"fsdp": 4, "tensor": 2}, {"data": 2, "fsdp": 4}])
def test_every_mesh_trains_alike(mesh):
    expected, expected_history = run(3, fsdp=1)
    found, history = run(3, **mesh)
    assert_close(found, expected)
    assert_close(history, expected_history)


def test_microbatches_change_nothing():
    expected, expected_history = run(3, fsdp=1)
    found, history = run(3, num_microbatches=4, data=2, fsdp=2)
    assert_close(found, expected)
    assert_close(history, expected_history)


@pytest.mark.parametrize("policy", sorted(REMAT_POLICIES.keys() - {"offload"}))
def test_unrolled_layers_change_nothing(policy):
    expected, expected_history = run(1, fsdp=1)
    execution = dataclasses.replace(CONFIG.execution, remat_policy=policy, unroll_layers=True)
    mesh = mesh_of(fsdp=1)
    step = make_train_step(dataclasses.replace(CONFIG, execution=execution), mesh)
    found, metrics = step(
        state_on(mesh), global_batch(rows(0), mesh), np.float32(1e-3), WEIGHT_DECAY
    )
    assert_close(jax.tree.map(np.asarray, found), expected)
    assert_close(jax.tree.map(float, metrics), expected_history[0])


def test_a_run_repeats_bit_for_bit_without_recompiling():
    first, second = run(3, fsdp=8), run(3, fsdp=8)
    same_bits(first, second)
    assert num_compilations(step_on(1, fsdp=8)) == 1  # other rates, other batches, one compilation


def one_step(state_changes, **batch_changes):
    mesh = mesh_of(fsdp=1)
    before = dataclasses.replace(initial(), **state_changes)
    batch = global_batch(rows(0)._replace(**batch_changes), mesh)
    after, metrics = step_on(1, fsdp=1)(
        state_on(mesh, **state_changes), batch, np.float32(1e-3), WEIGHT_DECAY
    )
    return before, after, metrics


COUNTED = {
    "step": np.int32(25),
    "num_skipped": np.int32(5),
    "num_consecutive_skipped": np.int32(2),
    "gradient_norm_mean": np.float32(1e-3),
}


@pytest.mark.parametrize(
    ("state_changes", "batch_changes"),
    [
        (COUNTED, {}),  # 20 updates made: a spike
        (COUNTED | {"step": np.int32(3)}, {"loss_weights": np.full((16, 8), np.nan, np.float32)}),
        (COUNTED | {"step": np.int32(3)}, {"loss_weights": np.zeros((16, 8), np.float32)}),
    ],
    ids=["spike", "not finite", "no targets"],
)
def test_skipped(state_changes, batch_changes):
    before, after, metrics = one_step(state_changes, **batch_changes)
    same_bits((before.params, before.opt_state), (after.params, after.opt_state))
    assert after.gradient_norm_mean == before.gradient_norm_mean
    assert after.step == before.step + 1
    assert (after.num_skipped, after.num_consecutive_skipped) == (6, 3)
    assert metrics.skipped
    assert (metrics.num_skipped, metrics.num_consecutive_skipped) == (6, 3)


@pytest.mark.parametrize(
    "state_changes",
    [
        COUNTED | {"num_skipped": np.int32(6)},  # 19 updates made: no mean to speak of
        COUNTED | {"gradient_norm_mean": np.float32(1.0)},
    ],
)
def test_accepted(state_changes):
    before, after, metrics = one_step(state_changes)
    assert not metrics.skipped
    assert after.num_skipped == before.num_skipped
    assert after.num_consecutive_skipped == 0
    assert after.opt_state.count == before.opt_state.count + 1
    assert not np.array_equal(after.params["embedding"], before.params["embedding"])


def test_running_mean_of_the_gradient_norm():
    state, history = run(3, fsdp=1)
    norms = [metrics.gradient_norm for metrics in history]
    np.testing.assert_allclose(state.gradient_norm_mean, np.mean(norms), rtol=1e-6)
    _, after, metrics = one_step(
        COUNTED | {"step": np.int32(1000), "gradient_norm_mean": np.float32(1.0)}
    )
    expected = 0.99 * 1.0 + 0.01 * float(metrics.gradient_norm)
    np.testing.assert_allclose(after.gradient_norm_mean, expected, rtol=1e-6)


def test_metrics_outlive_the_donated_state():
    mesh, step = mesh_of(fsdp=1), step_on(1, fsdp=1)
    state, first = step(state_on(mesh), global_batch(rows(0), mesh), np.float32(0), WEIGHT_DECAY)
    donated = state
    step(state, global_batch(rows(1), mesh), np.float32(0), WEIGHT_DECAY)
    assert donated.params["embedding"].is_deleted()
    assert [int(first.num_skipped), bool(first.skipped)] == [0, False]


def test_compiled_ahead_of_time():
    mesh = mesh_of(fsdp=8)
    compiled = compile_train_step(CONFIG, mesh)
    state, _ = compiled(state_on(mesh), global_batch(rows(0), mesh), np.float32(1e-3), WEIGHT_DECAY)
    same_bits(state, run(1, fsdp=8)[0])
    assert compiled.cost_analysis()["flops"] > 0
    assert compiled.memory_analysis().argument_size_in_bytes > 0


def test_eval_step_gives_the_nats_of_each_target():
    mesh = mesh_of(fsdp=8)
    batch = rows(7, num_rows=24)
    found = make_eval_step(CONFIG, mesh)(state_on(mesh).params, global_batch(batch, mesh))
    nats, _ = plain_losses(
        jax.tree.map(jnp.asarray, initial().params), jax.tree.map(jnp.asarray, batch)
    )
    np.testing.assert_allclose(found, batch.loss_weights * nats, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(np.asarray(found) != 0, batch.loss_weights == 1)


def test_a_batch_that_does_not_divide():
    with pytest.raises(UserError, match="batch_size: 16 is not divisible by mesh data 1 × fsdp 8"):
        make_train_step(with_microbatches(4), mesh_of(fsdp=8))
