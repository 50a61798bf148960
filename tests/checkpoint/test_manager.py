"""What was saved is restored bit for bit, or named as damaged; nothing whole is ever lost."""

import dataclasses
import errno
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from codepretrain.checkpoint import manager, record
from codepretrain.checkpoint.manager import Checkpoints
from codepretrain.checkpoint.policy import CheckpointPolicy
from codepretrain.config.schema import (
    CheckpointConfig,
    MeshConfig,
    OptimizerConfig,
    StudyConfig,
)
from codepretrain.errors import UserError
from codepretrain.train.sharding import make_mesh
from codepretrain.train.state import abstract_state
from tests.configs import bare_study

CONFIG = bare_study(optimizer=OptimizerConfig(first_moment_dtype="bfloat16"))
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

    def open_checkpoints(*permanent_steps, **config):
        policy = CheckpointPolicy(CheckpointConfig(**config), frozenset(permanent_steps))
        opened.append(Checkpoints(tmp_path / "run" / "checkpoints", policy))
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
    assert restored.damaged == {}


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
    assert (restored.state, restored.step, restored.damaged) == (None, 0, {})


def test_permanent_steps_stay_and_the_two_newest_of_the_others(checkpoints):
    to = checkpoints(2, 4)
    seen = []
    for step in range(1, 7):
        save(to, step)
        to.wait()
        seen.append("".join(folders(to)))
    assert seen == ["1", "12", "123", "1234", "2345", "2456"]
    again = checkpoints()  # another study, which needs none of these steps, keeps them all the same
    save(again, 7)
    again.wait()
    assert folders(again) == ["2", "4", "6", "7"]


def test_an_old_one_is_deleted_after_the_new_one_is_committed(checkpoints, monkeypatch):
    to = checkpoints(num_temporary=1)
    save(to, 1)
    to.wait()
    seen = []
    write_record = record.write_record

    def watched(folder, contents):
        seen.append((folders(to), (folder / "unfinished").exists()))
        write_record(folder, contents)

    monkeypatch.setattr(record, "write_record", watched)
    save(to, 2)
    to.wait()
    assert seen == [(["1", "2"], True)]
    assert folders(to) == ["2"]


def test_a_damaged_temporary_checkpoint_costs_one_interval(checkpoints, tmp_path):
    to = checkpoints(1)
    for step in range(1, 6):
        save(to, step)
    to.wait()
    flip_a_bit(local(to.path(5)))
    restored = checkpoints(1).restore(TINY)
    assert restored.step == 4
    assert_same_bits(restored.state, random_state(4))
    assert restored.damaged.keys() == {5}


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
    assert folders(rebuild) == ["12", "4", "5", "9"]
    assert rebuild.restore(TINY, up_to=11).step == 9
    assert rebuild.restore(TINY, step=5).step == 5
    assert rebuild.restore(TINY, step=6).state is None


def test_a_whole_step_is_not_written_again_but_kept_if_need_be(checkpoints):
    to = checkpoints()
    save(to, 1)
    save(to, 1, seed=99)
    to.wait()
    assert_same_bits(to.restore(TINY).state, random_state(1))
    again = checkpoints(1, num_temporary=1)
    save(again, 1, seed=99)
    save(again, 2)
    save(again, 3)
    again.wait()
    assert folders(again) == ["1", "3"]


def local(path):
    return Path(path)


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


def edit_record(folder):
    path = folder / "checkpoint.json"
    path.write_text(path.read_text().replace('"step": 2', '"step": 3'))


DAMAGE = {
    "truncated": (truncate, r"state/\S+: expected \d[\d,]* bytes, found \d"),
    "bit": (flip_a_bit, r"state/\S+ differs from what was written"),
    "deleted": (lambda f: largest_file(f / "state").unlink(), r"state/\S+ is missing"),
    "metadata": (lambda f: (f / "state" / "_METADATA").unlink(), r"state/_METADATA is missing"),
    "record": (lambda f: (f / "checkpoint.json").unlink(), r"checkpoint.json is missing"),
    "cut record": (
        lambda f: (f / "checkpoint.json").write_text('{"format": 2, "fil'),
        r"checkpoint.json differs from what was written",
    ),
    "record of a list": (
        lambda f: (f / "checkpoint.json").write_text("[]"),
        r"checkpoint.json differs from what was written",
    ),
    "altered record": (edit_record, r"checkpoint.json differs from what was written"),
    "an old copy of an empty folder": (
        lambda f: shutil.rmtree(f / "state"),
        r"state/\S+ is missing; .* and \d+ more",
    ),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_named_and_the_one_before_restored(checkpoints, tmp_path, damage, message):
    to = checkpoints(1, 2)
    save(to, 1)
    save(to, 2)
    to.wait()
    damage(local(to.path(2)))
    again = checkpoints(1, 2)
    restored = again.restore(TINY)
    assert restored.step == 1
    assert_same_bits(restored.state, random_state(1))
    assert restored.damaged.keys() == {2}
    assert restored.damaged[2].startswith(f"{to.path(2)}: ")
    assert re.search(message, restored.damaged[2])
    assert again.lost_steps(restored, up_to=2) == []
    save(again, 2)  # the run comes by again and replaces it
    again.wait()
    assert again.restore(TINY).step == 2


def test_no_whole_one_is_left(checkpoints, tmp_path):
    to = checkpoints(1, 2)
    save(to, 1)
    save(to, 2)
    to.wait()
    truncate(local(to.path(1)))
    truncate(local(to.path(2)))
    restored = to.restore(TINY)
    assert restored.state is None
    assert list(restored.damaged) == [2, 1]
    assert to.lost_steps(restored, up_to=2) == [1, 2]


def test_a_lost_checkpoint_is_known_and_one_deleted_by_policy_is_not_missed(checkpoints):
    to = checkpoints(2)
    for step in range(1, 6):
        save(to, step)
    to.wait()
    assert folders(to) == ["2", "4", "5"]
    assert to.lost_steps(to.restore(TINY), up_to=5) == []
    to.path(5).rmtree()
    reader = checkpoints(2)
    restored = reader.restore(TINY)
    assert restored.step == 4
    assert reader.lost_steps(restored, up_to=5) == [5]
    assert reader.lost_steps(restored, up_to=9, recorded_step=7) == [5, 7]
    assert reader.lost_steps(restored, up_to=4) == []  # a branch point before it needs it not
    to.directory.rmtree()
    assert reader.lost_steps(reader.restore(TINY), up_to=5) == [2, 4, 5]
    reader.give_up([2, 4, 5])
    assert checkpoints(2).lost_steps(reader.restore(TINY), up_to=5) == []


def test_a_kill_between_the_commit_and_the_journal(checkpoints, tmp_path):
    to = checkpoints()
    save(to, 1)
    to.close()
    (tmp_path / "run" / "checkpoints.jsonl").unlink()
    again = checkpoints()
    save(again, 2)
    again.wait()
    again.path(1).rmtree()
    again.path(2).rmtree()
    assert again.lost_steps(again.restore(TINY), up_to=9) == [1, 2]


def test_a_kill_during_a_deletion_leaves_nothing_that_counts(checkpoints, monkeypatch):
    to = checkpoints()
    save(to, 1)
    to.wait()
    monkeypatch.setattr(record.storage, "remove_tree", lambda folder: None)
    record.remove(to.path(1))
    assert to.path(1).exists()
    assert to.steps() == []
    monkeypatch.undo()
    again = checkpoints()
    save(again, 2)
    again.wait()
    assert folders(again) == ["2"]


def other(config: StudyConfig, **model) -> StudyConfig:
    return dataclasses.replace(config, model=dataclasses.replace(config.model, **model))


@pytest.mark.parametrize(
    ("config", "messages"),
    [
        (
            other(CONFIG, d_model=24),
            [
                r"params/\S+ is \[\S.*\] float32 in the checkpoint and \[\S.*\] float32",
                "; and 27 more",
            ],
        ),
        (other(CONFIG, tie_embeddings=False), ["params/unembedding is missing in the checkpoint"]),
        (other(CONFIG, use_qk_norm=True), ["query_norm/scale is missing in the checkpoint"]),
        (
            dataclasses.replace(CONFIG, optimizer=OptimizerConfig()),
            [r"opt_state/mu/\S+ is \[.*\] bfloat16 in the checkpoint and \[.*\] float32"],
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
    with pytest.raises(
        UserError, match=r"another model: b is only in the checkpoint; use the model"
    ):
        to.restore({"a": jax.ShapeDtypeStruct((2,), jnp.float32)})


@pytest.mark.parametrize("later_call", ["save", "wait", "close"])
def test_a_full_disk_surfaces_at_the_next_call(checkpoints, monkeypatch, later_call):
    to = checkpoints()
    save(to, 1)
    to.wait()

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(record, "write_record", full)
        save(to, 2)
        later = {"save": lambda: save(to, 3), "wait": to.wait, "close": to.close}[later_call]
        with pytest.raises(
            UserError, match=r"no space left for the checkpoint \S+/run/checkpoints/2:"
        ):
            later()
    assert to.steps() == [1]
    assert (to.path(2) / "unfinished").exists()
    again = checkpoints()
    assert again.restore(TINY).step == 1
    save(again, 3)
    again.wait()
    assert folders(again) == ["1", "3"]


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    to = Checkpoints(tmp_path / "file" / "checkpoints", CheckpointPolicy(CheckpointConfig()))
    with pytest.raises(UserError, match=r"cannot list .*/file/\S+: .*a file"):
        save(to, 1)


def test_reading_touches_nothing(checkpoints, tmp_path):
    to = checkpoints()
    save(to, 1)
    to.wait()
    record.begin(to.path(2))  # a save that is under way, or died
    reader = checkpoints()
    assert reader.restore(TINY).step == 1
    assert reader.steps() == [1]
    reader.close()
    assert folders(reader) == ["1", "2"]
    save(to_next := checkpoints(), 3)
    to_next.wait()
    assert folders(to_next) == ["1", "3"]


def test_due_by_time(checkpoints, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(manager.time, "monotonic", lambda: clock[0])
    to = checkpoints(temporary_interval_s=10.0)
    assert not to.is_due_by_time()
    clock[0] = 110.0
    assert to.is_due_by_time()
    save(to, 1)
    assert not to.is_due_by_time()


SAVES_UNTIL_KILLED = """
    import itertools, sys
    import jax.numpy as jnp
    from codepretrain.checkpoint.manager import Checkpoints
    from codepretrain.checkpoint.policy import CheckpointPolicy
    from codepretrain.config.schema import CheckpointConfig

    to = Checkpoints(sys.argv[1], CheckpointPolicy(CheckpointConfig(num_temporary=1)))
    for step in itertools.count(1):
        to.save(step, {"x": jnp.full(200_000, float(step))}, ledger={"step": step}, identity={})
        print(step, flush=True)
"""


def test_killed_in_the_middle_of_a_save(tmp_path, checkpoints):
    command = [
        sys.executable,
        "-c",
        textwrap.dedent(SAVES_UNTIL_KILLED),
        str(tmp_path / "run" / "checkpoints"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if int(line) == 4:  # under way, or only just committed
                time.sleep(np.random.default_rng().uniform(0.0, 0.05))
                process.send_signal(signal.SIGKILL)
                break
    to = checkpoints()
    restored = to.restore({"x": jax.ShapeDtypeStruct((200_000,), jnp.float32)})
    assert restored.damaged == {}
    assert restored.step >= 3
    assert restored.ledger == {"step": restored.step}
    assert set(np.unique(restored.state["x"])) == {restored.step}
    to.save(restored.step + 1, restored.state, ledger={}, identity={})
    to.wait()
    assert to.steps() == [restored.step, restored.step + 1]


def test_the_record_lists_every_file(checkpoints):
    to = checkpoints(1)
    save(to, 1)
    to.wait()
    contents = record.read_record(to.path(1))
    assert (contents.step, contents.permanent, contents.identity) == (1, True, IDENTITY)
    on_disk = {
        path.relative_to(to.path(1)).as_posix(): path.stat().st_size
        for path in local(to.path(1)).rglob("*")
        if path.is_file()
    }
    assert on_disk.pop("checkpoint.json")
    assert {name: size for name, (size, _) in contents.files.items()} == on_disk


def test_what_an_earlier_attempt_still_writes_damages_nothing(tmp_path):
    """It was suspended in a save, and continues when another attempt has saved the same step."""
    stale, ours = (
        Checkpoints(tmp_path / "checkpoints", CheckpointPolicy(CheckpointConfig()), attempt=name)
        for name in "ab"
    )
    folder = ours.path(3)
    save(stale, 3)
    stale.wait()
    late = [(path, path.read_bytes()) for path in local(folder).rglob("*") if path.is_file()]
    late = [(path, content) for path, content in late if path.parent != local(folder)]
    record.remove(folder)
    save(ours, 3)
    ours.wait()
    for path, content in late:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content[::-1])
    restored = ours.restore(TINY)
    assert (restored.step, restored.damaged) == (3, {})
    assert_same_bits(restored.state, random_state(3))
    assert {name.partition("/")[0] for name in record.read_record(folder).files} == {
        record.state_name("b")
    }
    record.remove(folder)
    assert not folder.exists()
    for one in (stale, ours):
        one.close()
