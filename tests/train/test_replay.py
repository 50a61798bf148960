"""A step that is executed twice: equal bits, and the device of a flipped one."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from codepretrain.errors import DamageError
from codepretrain.train.digests import device_digests
from codepretrain.train.program import Program
from codepretrain.train.replay import ReplayedSteps
from codepretrain.train.sharding import global_batch
from tests.fixtures.processes import RunJob
from tests.train.test_step import CONFIG, rows


def replaying(interval: int | None):
    execution = dataclasses.replace(CONFIG.execution, replay_interval_steps=interval)
    return dataclasses.replace(CONFIG, execution=execution)


def run(program: Program, interval: int | None, num_steps: int):
    steps, state = ReplayedSteps(program, interval), program.initial_state(seed=0)
    for step in range(1, num_steps + 1):
        batch = global_batch(rows(step), program.mesh)
        state, metrics = steps.run(state, batch, step=step, learning_rate=1e-3, weight_decay=0.1)
    return state, metrics


def test_a_digest_changes_with_every_bit_of_a_device_and_with_no_other() -> None:
    program = Program(CONFIG)
    sharding = program.abstract_state.params["embedding"].sharding
    values = np.random.default_rng(0).standard_normal((64, 16), np.float32)

    def digests(array: np.ndarray) -> np.ndarray:
        tree = {"x": jax.device_put(array, sharding), "n": jnp.int32(3)}
        placed = {"x": sharding, "n": jax.sharding.NamedSharding(program.mesh, PartitionSpec())}
        tree["n"] = jax.device_put(tree["n"], placed["n"])
        return np.asarray(device_digests(tree, placed, program.mesh))

    before = digests(values)
    assert before.shape == (8,)
    assert before.dtype == np.uint32
    part = next(iter(jax.device_put(values, sharding).addressable_shards)).index
    for bit in (0, 13, 31):
        changed = values.copy()
        changed[part].view(np.uint32).flat[5] ^= np.uint32(1) << np.uint32(bit)
        assert np.flatnonzero(digests(changed) != before).tolist() == [0]


def test_a_replayed_step_gives_the_bits_of_one_that_is_not() -> None:
    program = Program(replaying(2))
    program.compile()
    state, metrics = run(program, 2, 4)
    assert np.asarray(metrics.gradient_digests).shape == (8,)
    plain, _ = run(Program(replaying(1000)), None, 4)
    for ours, theirs in zip(jax.tree.leaves(state), jax.tree.leaves(plain), strict=True):
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))


def test_without_replays_there_are_no_digests() -> None:
    _, metrics = run(Program(CONFIG, jax.devices()[:1]), None, 1)
    assert metrics.gradient_digests is None
    assert len(jax.tree.leaves(metrics)) == 8


_FLIP = """
import dataclasses
import numpy as np
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from codepretrain.errors import DamageError
from codepretrain.hosts import gather
from codepretrain.train import step as step_module
from codepretrain.train.program import Program
from codepretrain.train.replay import ReplayedSteps
from codepretrain.train.sharding import global_batch
from tests.train.test_step import CONFIG, rows

calls = {}
bad_process, fsdp = int(arguments[0]), int(arguments[1])

def mask(place):
    # The second execution of the third step, on the bad process's first device only.
    place = int(place)
    calls[place] = calls.get(place, 0) + 1
    is_bad = place == 2 * bad_process and calls[place] == 4
    return np.uint32(1 << 20 if is_bad else 0)

original = step_module._sums_and_gradients

def flipped(config, mesh, params, batch):
    sums, gradients = original(config, mesh, params, batch)
    spec = step_module.state_shardings(config, mesh).params["embedding"].spec
    def flip(part):
        place = jax.lax.axis_index(mesh.axis_names)
        bits = jax.pure_callback(mask, jax.ShapeDtypeStruct((), jnp.uint32), place)
        flat = jax.lax.bitcast_convert_type(part, jnp.uint32)
        flat = flat.at[0, 0].set(flat[0, 0] ^ bits)
        return jax.lax.bitcast_convert_type(flat, jnp.float32)
    flip = jax.shard_map(flip, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False)
    return sums, {**gradients, "embedding": flip(gradients["embedding"])}

step_module._sums_and_gradients = flipped
execution = dataclasses.replace(
    CONFIG.execution,
    replay_interval_steps=3,
    mesh=dataclasses.replace(CONFIG.execution.mesh, fsdp=fsdp, data=4 // fsdp),
)
program = Program(dataclasses.replace(CONFIG, execution=execution))
steps, state = ReplayedSteps(program, 3), program.initial_state(seed=0)
try:
    for step in range(1, 7):
        whole = rows(step)
        local = jax.tree.map(lambda x: x[8 * process : 8 * process + 8], whole)
        batch = global_batch(local, program.mesh)
        state, _ = steps.run(state, batch, step=step, learning_rate=1e-3, weight_decay=0.1)
        print("step", step, flush=True)
except DamageError as error:
    print(error)
    assert error.cause == "damage"
    print("is_cascade", error.is_cascade, flush=True)
"""


@pytest.mark.parametrize(("bad_process", "fsdp"), [(0, 4), (1, 4), (1, 1)])
def test_one_flipped_bit_of_a_gradient_names_its_process_and_device(
    run_job: RunJob, bad_process: int, fsdp: int
) -> None:
    """Where parameters are sharded over all devices, and where every device has them all."""
    ended = run_job(_FLIP, str(bad_process), str(fsdp))
    for process, one in enumerate(ended):
        assert one.returncode == 0, one.stderr
        *steps, message, cascade = one.stdout.splitlines()
        assert cascade == f"is_cascade {process != bad_process}"
        assert steps == ["step 1", "step 2"]
        assert message.startswith(
            "step 3, executed twice from the same state and batch, gave different gradients on "
            f"process {bad_process} (device "
        )
        assert ", " not in message.partition("gradients on ")[2].partition(":")[0]


def test_a_difference_of_the_state_alone_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    program = Program(replaying(1), jax.devices()[:1])
    train_step, calls = program.train_step, []

    def wrong(*arguments):
        state, metrics = train_step(*arguments)
        calls.append(metrics)
        if len(calls) == 2:
            metrics = metrics._replace(state_digests=metrics.state_digests + jnp.uint32(1))
        return state, metrics

    monkeypatch.setattr(program, "train_step", wrong)
    with pytest.raises(DamageError, match=r"different states on process 0 \(device 0\)"):
        run(program, 1, 1)
