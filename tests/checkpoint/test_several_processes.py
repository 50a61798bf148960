"""Checkpoints of two processes, of which one sees or suffers what the other does not."""

import re
from pathlib import Path

from tests.fixtures.processes import RunJob

SETUP = """
    import numpy as np
    from jax.experimental.multihost_utils import sync_global_devices

    from codepretrain.checkpoint import record
    from codepretrain.checkpoint.manager import Checkpoints
    from codepretrain.checkpoint.policy import CheckpointPolicy
    from codepretrain.config.schema import CheckpointConfig, MeshConfig
    from codepretrain.errors import UserError
    from codepretrain.stream.batch import Batch
    from codepretrain.train.sharding import batch_sharding, global_batch, make_mesh, replicated

    mesh = make_mesh(MeshConfig(data=2, fsdp=2))
    rows = np.arange(8 * 3, dtype=np.int32).reshape(8, 3)
    mine = rows[4 * process : 4 * process + 4]
    state = {"rows": global_batch(Batch(mine, mine, mine, mine, mine), mesh).inputs}
    whole = jax.jit(lambda x: x, out_shardings=replicated(mesh))
    abstract = {"rows": jax.ShapeDtypeStruct((8, 3), np.int32, sharding=batch_sharding(mesh))}
    to = Checkpoints(arguments[0], CheckpointPolicy(CheckpointConfig(), frozenset({1})))

    def save(*steps):
        for step in steps:
            to.save(step, state, ledger={"step": step}, identity={})
        to.wait()
"""


def test_each_process_hashes_its_own_files_and_both_see_damage(
    tmp_path: Path, run_job: RunJob
) -> None:
    script = """
    hashed = []
    hash_files = record.hash_files
    record.hash_files = lambda folder, names: hashed.extend(names) or hash_files(folder, names)
    save(1, 2, 3)
    file = sorted((to.path(3) / "state" / "ocdbt.process_1" / "d").iterdir())[0]
    sync_global_devices("before the damage")
    if process == 0:
        file.unlink()
    sync_global_devices("after the damage")
    restored = to.restore(abstract)
    assert np.array_equal(whole(restored.state["rows"]), rows)
    to.close()
    print(restored.step, *restored.damaged.values())
    print(*hashed)
    """
    results = run_job(SETUP + script, tmp_path / "checkpoints")
    for ended in results:
        assert ended.returncode == 0, ended.stderr
        line = ended.stdout.splitlines()[-2]
        assert re.search(r"^2 \S+/3: state/ocdbt.process_1/d/\w+ is missing", line), line
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == ["1", "2", "3"]
    first, second = (ended.stdout.splitlines()[-1].split() for ended in results)
    assert not {name for name in first if "process_1" in name}
    assert {re.search(r"process_\d", name).group() for name in second} == {"process_1"}
    assert any(name.endswith("state/manifest.ocdbt") for name in first)


def test_a_stale_listing_of_one_process_changes_nothing(tmp_path: Path, run_job: RunJob) -> None:
    script = """
    from codepretrain.files import storage

    save(1, 2)
    if process == 1:  # this process does not see the newest step yet
        names = storage.names
        storage.names = lambda folder: [name for name in names(folder) if name != "2"]
    restored = to.restore(abstract)
    assert restored.step == 2 and to.steps() == [1, 2]
    save(2, 3)
    to.close()
    print(restored.step)
    """
    for ended in run_job(SETUP + script, tmp_path / "checkpoints"):
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.splitlines()[-1] == "2"


def test_a_full_disk_of_one_process_is_the_error_of_both(tmp_path: Path, run_job: RunJob) -> None:
    script = """
    import errno
    from codepretrain.checkpoint.arrays import Writing

    save(1)
    if process == 1:
        def full(self):
            raise OSError(errno.ENOSPC, "No space left on device")
        Writing.wait = full
    try:
        save(2)
    except UserError as error:
        print(error)
    print(to.steps())
    to.close()
    """
    for ended in run_job(SETUP + script, tmp_path / "checkpoints"):
        assert ended.returncode == 0, ended.stderr
        message, steps = ended.stdout.splitlines()[-2:]
        assert message.startswith(f"no space left for the checkpoint {tmp_path}/checkpoints/2:")
        assert steps == "[1]"


def test_damage_that_one_process_alone_meets_while_reading(tmp_path: Path, run_job: RunJob) -> None:
    script = """
    from codepretrain.checkpoint import whole as whole_checkpoint

    save(1)
    if process == 1:
        def refuses(folder, abstract_state, **_):
            raise UserError("the disk of host 1 is broken")
        assert callable(whole_checkpoint.read_arrays)
        whole_checkpoint.read_arrays = refuses
    try:
        to.restore(abstract)
    except UserError as error:
        print(error)
    to.close()
    """
    for ended in run_job(SETUP + script, tmp_path / "checkpoints"):
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.splitlines()[-1] == "the disk of host 1 is broken"
