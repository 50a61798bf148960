"""What was saved is restored bit for bit, or named as damaged; nothing whole is ever lost."""

import dataclasses
import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from codepretrain.checkpoint import manager
from codepretrain.checkpoint.manager import Checkpoints
from codepretrain.config.schema import (
    CheckpointConfig,
    DataConfig,
    MeshConfig,
    ModelConfig,
    OptimizerConfig,
    StudyConfig,
    TrainingConfig,
)
from codepretrain.errors import UserError
from codepretrain.train.sharding import make_mesh
from codepretrain.train.state import abstract_state

CONFIG = StudyConfig(
    name="test",
    model=ModelConfig(
        vocab_size=64,
        d_model=16,
        num_layers=2,
        num_heads=4,
        num_kv_heads=2,
        head_dim=4,
        d_ff=32,
    ),
    data=DataConfig(sources={}, max_seq_len=8),
    training=TrainingConfig(batch_size=8),
    optimizer=OptimizerConfig(first_moment_dtype="bfloat16"),
    phases={},
    variants={},
)
LEDGER = {"step": 3, "sources": {"text": {"requested_rows": 0.1 + 0.2, "rows": 2**53}}}
IDENTITY = {"model": {"d_model": 16}, "weights": [["text", 0.9]]}


TINY = {
    "x": jax.ShapeDtypeStruct((64, 8), jnp.float32),
    "step": jax.ShapeDtypeStruct((), jnp.int32),
}


def abstract(config: StudyConfig = CONFIG, **fields):
    return abstract_state(config, make_mesh(MeshConfig(**fields)))


def random_state(seed: int, abstract=TINY):
    """Random bits, NaN and infinities among them."""
    rng = np.random.default_rng(seed)

    def leaf(a):
        bits = rng.bytes(int(np.prod(a.shape)) * a.dtype.itemsize)
        return jax.device_put(np.frombuffer(bits, a.dtype).reshape(a.shape), a.sharding)

    return jax.tree.map(leaf, abstract)


def assert_same_bits(found, expected):
    def same(a, b):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()

    jax.tree.map(same, found, expected)


@pytest.fixture
def checkpoints(tmp_path):
    opened = []

    def open_checkpoints(*permanent_steps, interval_s=600.0):
        config = CheckpointConfig(temporary_interval_s=interval_s)
        opened.append(
            Checkpoints(tmp_path / "run", config, permanent_steps=frozenset(permanent_steps))
        )
        return opened[-1]

    yield open_checkpoints
    for one in opened:
        one.close()


def save(to: Checkpoints, step: int, *, seed: int | None = None):
    state = random_state(step if seed is None else seed)
    to.save(step, state, ledger=LEDGER | {"step": step}, identity=IDENTITY)


def folders(of: Checkpoints) -> list[str]:
    return sorted(path.name for path in of.directory.iterdir())


@pytest.mark.parametrize(
    "restored_on", [{"fsdp": 8}, {"fsdp": 4, "tensor": 2}, {"data": 2, "fsdp": 4}]
)
def test_every_bit_on_every_mesh(checkpoints, restored_on):
    state = random_state(0, abstract(fsdp=4, tensor=2))
    saved = checkpoints(3)
    saved.save(3, state, ledger=LEDGER, identity=IDENTITY)
    saved.wait()
    wanted = abstract(**restored_on)
    restored = checkpoints().restore(wanted)
    assert_same_bits(restored.state, state)
    assert jax.tree.map(lambda x: x.sharding, (restored.state, wanted)) == 2 * (
        jax.tree.map(lambda x: x.sharding, wanted),
    )
    assert (restored.step, restored.ledger, restored.identity) == (3, LEDGER, IDENTITY)
    assert restored.damaged == ()


def test_a_state_may_be_donated_as_soon_as_save_returns(checkpoints):
    to = checkpoints()
    state = random_state(1, abstract())
    expected = jax.tree.map(np.array, state)
    to.save(1, state, ledger=LEDGER, identity=IDENTITY)
    zeroed = jax.jit(lambda s: jax.tree.map(jnp.zeros_like, s), donate_argnums=0, keep_unused=True)
    jax.block_until_ready(zeroed(state))
    to.wait()
    assert_same_bits(to.restore(abstract()).state, expected)


def test_nothing_there(checkpoints):
    restored = checkpoints().restore(TINY)
    assert (restored.state, restored.step, restored.damaged) == (None, 0, ())


def test_permanent_steps_stay_and_of_the_others_the_newest(checkpoints):
    to = checkpoints(2, 4)
    seen = []
    for step in range(1, 6):
        save(to, step)
        to.wait()
        seen.append(folders(to))
    assert seen == [["1"], ["2"], ["2", "3"], ["2", "4"], ["2", "4", "5"]]
    again = checkpoints()  # another study, which needs none of these steps, keeps them all the same
    save(again, 6)
    again.wait()
    assert folders(again) == ["2", "4", "6"]


def test_the_old_one_goes_after_the_new_one_is_committed(checkpoints, monkeypatch):
    to = checkpoints()
    save(to, 1)
    to.wait()
    seen = []
    write_record = manager.write_record

    def watched(folder, *, permanent):
        seen.append(folders(to))
        write_record(folder, permanent=permanent)

    monkeypatch.setattr(manager, "write_record", watched)
    save(to, 2)
    to.wait()
    assert seen == [["1", "2.orbax-checkpoint-tmp"]]
    assert folders(to) == ["2"]


def test_remaking_an_early_step_leaves_later_ones(checkpoints):
    to = checkpoints(9)
    for step in (9, 12):
        save(to, step)
    to.wait()
    rebuild = checkpoints(5)
    assert rebuild.restore(TINY, up_to=5).state is None
    save(rebuild, 4)
    save(rebuild, 5)
    rebuild.wait()
    assert folders(rebuild) == ["12", "5", "9"]
    assert rebuild.restore(TINY, up_to=11).step == 9
    assert rebuild.restore(TINY, step=5).step == 5
    assert rebuild.restore(TINY, step=6).state is None


def test_a_whole_step_is_not_written_again_but_kept_if_need_be(checkpoints):
    to = checkpoints()
    save(to, 1)
    save(to, 1, seed=99)
    to.wait()
    assert_same_bits(to.restore(TINY).state, random_state(1))
    again = checkpoints(1)
    save(again, 1, seed=99)
    save(again, 2)
    again.wait()
    assert folders(again) == ["1", "2"]


def largest_file(folder):
    return max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def truncate(folder):
    path = largest_file(folder / "state")
    path.write_bytes(path.read_bytes()[:-10])


def flip_a_bit(folder):
    path = largest_file(folder / "state")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGE = {
    "truncated": (truncate, r"state/\S+ was \d[\d,]* bytes long and is not"),
    "bit": (flip_a_bit, r"state/\S+ is not what was written"),
    "deleted": (lambda f: largest_file(f / "state").unlink(), r"state/\S+ is missing"),
    "ledger": (lambda f: (f / "ledger" / "metadata").unlink(), r"ledger/metadata is missing"),
    "record": (lambda f: (f / "integrity.json").unlink(), r"integrity.json is missing"),
    "cut record": (
        lambda f: (f / "integrity.json").write_text('{"version": 1, "fil'),
        r"integrity.json is not what was written",
    ),
    "metadata": (
        lambda f: (f / "_CHECKPOINT_METADATA").unlink(),
        r"_CHECKPOINT_METADATA is missing",
    ),
    "cut metadata": (
        lambda f: (f / "_CHECKPOINT_METADATA").write_text('{"item'),
        r"_CHECKPOINT_METADATA is not what was written",
    ),
    "field": (
        lambda f: (f / "integrity.json").write_text('{"version": 1, "permanent": true}'),
        r"integrity.json is not what was written",
    ),
    "commit": (lambda f: (f / "commit_success.txt").unlink(), r"commit_success.txt is missing"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_named_and_the_one_before_restored(checkpoints, tmp_path, damage, message):
    to = checkpoints(1, 2)
    save(to, 1)
    save(to, 2)
    to.wait()
    damage(tmp_path / "run" / "2")
    again = checkpoints(1, 2)
    restored = again.restore(TINY)
    assert restored.step == 1
    assert_same_bits(restored.state, random_state(1))
    (line,) = restored.damaged
    assert line.startswith(f"{tmp_path / 'run' / '2'}: ")
    assert re.search(message, line)
    save(again, 2)  # the run comes by again and replaces it
    again.wait()
    assert again.restore(TINY).step == 2


def test_no_whole_one_is_left(checkpoints, tmp_path):
    to = checkpoints(1, 2)
    save(to, 1)
    save(to, 2)
    to.wait()
    truncate(tmp_path / "run" / "1")
    truncate(tmp_path / "run" / "2")
    restored = to.restore(TINY)
    assert restored.state is None
    assert [line.split(":")[0] for line in restored.damaged] == [
        str(tmp_path / "run" / "2"),
        str(tmp_path / "run" / "1"),
    ]


def other(config: StudyConfig, **model) -> StudyConfig:
    return dataclasses.replace(config, model=dataclasses.replace(config.model, **model))


@pytest.mark.parametrize(
    ("config", "messages"),
    [
        (
            other(CONFIG, d_model=24),
            [r"params/\S+ is \[\S.*\] float32 there and \[\S.*\] float32 here", "; and 27 more"],
        ),
        (other(CONFIG, tie_embeddings=False), ["params/unembedding is missing there"]),
        (other(CONFIG, use_qk_norm=True), ["query_norm/scale is missing there"]),
        (
            dataclasses.replace(CONFIG, optimizer=OptimizerConfig()),
            [r"opt_state/mu/\S+ is \[.*\] bfloat16 there and \[.*\] float32 here"],
        ),
    ],
)
def test_another_model_is_refused(checkpoints, config, messages):
    to = checkpoints()
    to.save(1, random_state(1, abstract()), ledger=LEDGER, identity=IDENTITY)
    to.wait()
    with pytest.raises(UserError, match="is of another model") as refused:
        to.restore(abstract(config))
    for message in messages:
        assert refused.match(message)


def test_leaves_of_the_checkpoint_alone_are_named(checkpoints):
    to = checkpoints()
    to.save(1, {"a": jnp.zeros(2), "b": jnp.zeros(2)}, ledger={}, identity={})
    to.wait()
    with pytest.raises(UserError, match=r"another model: b is there and not here; use the model"):
        to.restore({"a": jax.ShapeDtypeStruct((2,), jnp.float32)})


@pytest.mark.parametrize("later_call", ["save", "wait", "close"])
def test_a_full_disk_surfaces_at_the_next_call(checkpoints, monkeypatch, later_call):
    to = checkpoints()
    save(to, 1)
    to.wait()

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(manager, "write_record", full)
        save(to, 2)
        later = {"save": lambda: save(to, 3), "wait": to.wait, "close": to.close}[later_call]
        with pytest.raises(
            UserError, match=r"no space left for the checkpoint of step 2 in \S+/run"
        ):
            later()
    assert folders(to) == ["1", "2.orbax-checkpoint-tmp"]
    again = checkpoints()
    assert again.restore(TINY).step == 1
    save(again, 2)
    again.wait()
    assert folders(again) == ["2"]


def test_words_of_tensorstore_for_a_full_disk():
    cause = ValueError("RESOURCE_EXHAUSTED: … No space left on device [os_error_code='28']")
    error = RuntimeError("failed")
    error.__cause__ = cause
    assert manager._is_full(error)
    assert not manager._is_full(ValueError("no"))


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    to = Checkpoints(tmp_path / "file" / "run", CheckpointConfig(), permanent_steps=())
    with pytest.raises(
        UserError, match=r"checkpoint of step 1 cannot be written to .*Not a direct"
    ):
        save(to, 1)


def test_reading_touches_nothing(checkpoints, tmp_path):
    to = checkpoints()
    save(to, 1)
    to.wait()
    (tmp_path / "run" / "2.orbax-checkpoint-tmp").mkdir()
    (tmp_path / "run" / "deleted").mkdir()
    reader = checkpoints()
    assert reader.restore(TINY).step == 1
    reader.close()
    assert folders(reader) == ["1", "2.orbax-checkpoint-tmp", "deleted"]
    save(to_next := checkpoints(), 2)
    to_next.wait()
    assert folders(to_next) == ["2"]


def test_due_by_time(checkpoints, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(manager.time, "monotonic", lambda: clock[0])
    to = checkpoints(interval_s=10.0)
    assert not to.is_due_by_time()
    clock[0] = 110.0
    assert to.is_due_by_time()
    save(to, 1)
    assert not to.is_due_by_time()


SAVES_UNTIL_KILLED = """
    import itertools, sys
    import jax.numpy as jnp
    from codepretrain.checkpoint.manager import Checkpoints
    from codepretrain.config.schema import CheckpointConfig

    to = Checkpoints(sys.argv[1], CheckpointConfig(), permanent_steps=())
    for step in itertools.count(1):
        to.save(step, {"x": jnp.full(200_000, float(step))}, ledger={"step": step}, identity={})
        print(step, flush=True)
"""


def test_killed_in_the_middle_of_a_save(tmp_path, checkpoints):
    command = [sys.executable, "-c", textwrap.dedent(SAVES_UNTIL_KILLED), str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if int(line) == 4:  # under way, or only just committed
                time.sleep(np.random.default_rng().uniform(0.0, 0.05))
                process.send_signal(signal.SIGKILL)
                break
    to = checkpoints()
    restored = to.restore({"x": jax.ShapeDtypeStruct((200_000,), jnp.float32)})
    assert restored.damaged == ()
    assert restored.step >= 3
    assert restored.ledger == {"step": restored.step}
    assert set(np.unique(restored.state["x"])) == {restored.step}
    to.save(restored.step + 1, restored.state, ledger={}, identity={})
    to.wait()
    assert folders(to) == [str(restored.step + 1)]


def test_the_record_is_json_of_every_file(checkpoints, tmp_path):
    to = checkpoints(1)
    save(to, 1)
    to.wait()
    record = json.loads((tmp_path / "run" / "1" / "integrity.json").read_text())
    assert record["permanent"] is True
    on_disk = {
        path.relative_to(tmp_path / "run" / "1").as_posix(): path.stat().st_size
        for path in (tmp_path / "run" / "1").rglob("*")
        if path.is_file()
    }
    written_later = {"integrity.json", "_CHECKPOINT_METADATA", "commit_success.txt"}
    assert {name: f["size"] for name, f in record["files"].items()} == {
        name: size for name, size in on_disk.items() if name not in written_later
    }


ONE_OF_TWO_PROCESSES = """
    import sys

    import jax

    jax.config.update("jax_num_cpu_devices", 2)
    process = int(sys.argv[1])
    jax.distributed.initialize(sys.argv[2], num_processes=2, process_id=process)

    import numpy as np

    from codepretrain.stream.batch import Batch
    from codepretrain.checkpoint.manager import Checkpoints
    from codepretrain.config.schema import CheckpointConfig, MeshConfig
    from codepretrain.train.sharding import batch_sharding, global_batch, make_mesh, replicated

    mesh = make_mesh(MeshConfig(data=2, fsdp=2))
    rows = np.arange(8 * 3, dtype=np.int32).reshape(8, 3)
    mine = rows[4 * process : 4 * process + 4]
    state = {"rows": global_batch(Batch(mine, mine, mine, mine, mine), mesh).inputs}
    whole = jax.jit(lambda x: x, out_shardings=replicated(mesh))
    assert np.array_equal(whole(state["rows"]), rows)

    to = Checkpoints(sys.argv[3], CheckpointConfig(), permanent_steps=(1,))
    for step in (1, 2, 3):
        to.save(step, state, ledger={"step": step}, identity={})
    to.wait()
    file = sorted((to.path(3) / "state" / "ocdbt.process_1" / "d").iterdir())[0]
    jax.experimental.multihost_utils.sync_global_devices("before the damage")
    if process == 0:
        file.unlink()
    jax.experimental.multihost_utils.sync_global_devices("after the damage")
    abstract = jax.ShapeDtypeStruct((8, 3), np.int32, sharding=batch_sharding(mesh))
    restored = to.restore({"rows": abstract})
    assert np.array_equal(whole(restored.state["rows"]), rows)
    to.close()
    print(restored.step, *restored.damaged)
"""


def test_two_processes(tmp_path):
    with socket.socket() as found:
        found.bind(("localhost", 0))
        address = f"localhost:{found.getsockname()[1]}"
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}  # two devices each
    processes = [
        subprocess.Popen(
            [
                *(sys.executable, "-c", textwrap.dedent(ONE_OF_TWO_PROCESSES)),
                *(str(index), address, str(tmp_path / "run")),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for index in range(2)
    ]
    results = [(*process.communicate(timeout=120), process.returncode) for process in processes]
    for out, err, returncode in results:
        assert returncode == 0, err
        last = out.splitlines()[-1]
        assert re.fullmatch(rf"1 {tmp_path}/run/3: state/ocdbt.process_1/d/\w+ is missing", last)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["1", "3"]
