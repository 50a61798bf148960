"""A checkpoint that another job reads is not deleted under it."""

import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import pytest
from etils import epath

from codepretrain.checkpoint import reading as module
from codepretrain.checkpoint.manager import Checkpoints
from codepretrain.checkpoint.policy import CheckpointPolicy
from codepretrain.checkpoint.reading import Readers, reading
from codepretrain.config.schema import CheckpointConfig
from codepretrain.files import storage
from codepretrain.files.object_lease import ObjectLease

READER = """
import sys, time
from codepretrain.checkpoint.reading import reading
with reading(sys.argv[1], int(sys.argv[2])) as is_held:
    print(is_held, flush=True)
    time.sleep(600)
"""


@pytest.fixture(params=["local", "store"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, memory: epath.Path) -> epath.Path:
    """The folder of a run's checkpoints, of which step 1 exists."""
    root = epath.Path(tmp_path) if request.param == "local" else memory
    return root / "run" / "checkpoints"


def save(to: Checkpoints, *steps: int) -> None:
    for step in steps:
        to.save(step, {"x": jnp.arange(8)}, ledger={}, identity={})
    to.wait()


def test_a_superseded_checkpoint_stays_while_it_is_read(tmp_path: Path) -> None:
    to = Checkpoints(tmp_path / "checkpoints", CheckpointPolicy(CheckpointConfig(num_temporary=1)))
    save(to, 1)
    with reading(to.directory, 1) as is_held:
        assert is_held
        save(to, 2, 3)
        assert to.steps() == [1, 3]
        assert to.has_whole(1)
    save(to, 4)
    assert to.steps() == [4]
    assert not (tmp_path / "reading" / "1").exists()
    to.close()


def test_a_reader_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    to = Checkpoints(tmp_path / "checkpoints", CheckpointPolicy(CheckpointConfig(num_temporary=1)))
    save(to, 1)
    command = [sys.executable, "-c", READER, str(to.directory), "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
        try:
            assert reader.stdout is not None
            assert reader.stdout.readline() == "True\n"
            save(to, 2)
            assert to.steps() == [1, 2]
        finally:
            reader.kill()
    save(to, 3)
    assert to.steps() == [3]
    to.close()


def test_the_lease_of_a_reader_on_a_lost_host_expires(
    folder: epath.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr("codepretrain.files.lease_watch.time.monotonic", lambda: clock[0])
    lease = ObjectLease(folder.parent / "reading" / "1" / "reader-a", ttl_s=60)
    readers = Readers(folder)
    assert not readers.lock_out(1)
    clock[0] += 50
    assert not readers.lock_out(1)
    lease._renew()
    clock[0] += 50
    assert not readers.lock_out(1)
    clock[0] += 59
    assert not readers.lock_out(1)
    clock[0] += 2
    assert readers.lock_out(1)
    lease.release()


def test_one_of_several_readers_is_enough(folder: epath.Path) -> None:
    readers = Readers(folder)
    with reading(folder, 1), reading(folder, 2):
        with reading(folder, 1):
            assert not readers.lock_out(1)
        assert not readers.lock_out(1)
    assert readers.lock_out(1)


def test_what_a_killed_write_of_the_mark_left_is_no_reader(tmp_path: Path) -> None:
    """As found: `kill -9` between the temporary file and its rename; the run could not go on."""
    left = tmp_path / "run" / "reading" / "1" / ".deleting.d026363cd3bc0893.tmp"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"-")
    readers = Readers(tmp_path / "run" / "checkpoints")
    assert readers.lock_out(1)
    readers.begin()
    assert not list(left.parent.iterdir())


def test_nobody_begins_to_read_what_is_being_deleted(
    folder: epath.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE_S", 0.0)
    readers = Readers(folder)
    assert readers.lock_out(1)
    with reading(folder, 1) as is_held:
        assert not is_held
    readers.forget(1)
    with reading(folder, 1) as is_held:
        assert is_held


def test_a_reader_that_comes_at_the_same_moment_is_seen(
    folder: epath.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It writes its lease after the first look and before the mark."""
    readers, found = Readers(folder), []
    write = module.write_bytes

    def write_late(path: str, content: bytes) -> None:
        found.append(ObjectLease(folder.parent / "reading" / "1" / "reader-a", ttl_s=60))
        write(path, content)

    monkeypatch.setattr(module, "write_bytes", write_late)
    assert not readers.lock_out(1)
    with reading(folder, 1) as is_held:
        assert is_held
    found[0].release()


def test_the_mark_of_a_deletion_that_was_killed_is_removed(folder: epath.Path) -> None:
    assert Readers(folder).lock_out(1)
    Readers(folder).begin()
    assert storage.names(folder.parent / "reading" / "1") == []
    with reading(folder, 1) as is_held:
        assert is_held
