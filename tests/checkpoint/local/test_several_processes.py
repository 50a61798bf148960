"""Local checkpoints of four processes, each with a disk of its own."""

import re
from pathlib import Path

import pytest

from tests.fixtures.processes import RunJob

SETUP = """
    import shutil
    from pathlib import Path

    import numpy as np
    from etils import epath
    from jax.experimental.multihost_utils import sync_global_devices
    from jax.sharding import NamedSharding, PartitionSpec

    from codepretrain.checkpoint.local.manager import LocalCheckpoints
    from codepretrain.config.schema import CheckpointConfig, MeshConfig
    from codepretrain.train.sharding import make_mesh

    root, data = Path(arguments[0]), int(arguments[1])
    mesh = make_mesh(MeshConfig(data=data, fsdp=-1))
    bits = np.random.default_rng(0).integers(0, 2**32, (64, 32), dtype=np.uint32)
    bits[0, :4] = 0x80000000, 0x7FC00001, 0xFF800000, 0  # -0, a NaN with bits of its own, -inf, 0
    halves = bits.view(np.uint16).view(jax.numpy.bfloat16)
    values = {
        "weights": (bits.view(np.float32), PartitionSpec("fsdp")),
        "moments": (halves, PartitionSpec(None, "fsdp")),
        "scale": (bits[0].view(np.float32), PartitionSpec()),
        "step": (np.int32(-7), PartitionSpec()),
    }
    state, abstract = {}, {}
    for name, (value, spec) in values.items():
        sharding = NamedSharding(mesh, spec)
        state[name] = jax.make_array_from_callback(value.shape, sharding, lambda i, v=value: v[i])
        abstract[name] = jax.ShapeDtypeStruct(value.shape, value.dtype, sharding=sharding)

    def disk(host):
        return root / f"host-{host}"

    def opened(host=process, state=abstract):
        config = CheckpointConfig(local_folder=str(disk(host)), local_interval_steps=1)
        to = LocalCheckpoints(
            config, epath.Path(root / "run"), state, identity={"a": 1}, tell=print
        )
        return to, to.find(up_to=100)

    def wiped(*hosts):
        sync_global_devices("before")
        if process == 0:
            for host in hosts:
                shutil.rmtree(disk(host))
        sync_global_devices("after")

    def check(restored):
        for name, (value, spec) in values.items():
            found = restored.state[name]
            assert found.sharding.is_equivalent_to(abstract[name].sharding, value.ndim)
            assert found.dtype == value.dtype
            for shard in found.addressable_shards:
                assert np.asarray(shard.data).tobytes() == value[shard.index].tobytes(), name
        assert restored.ledger == {"step": restored.step} and restored.is_local

    to, found = opened()
    assert found == []
    to.begin(0, is_local=False)
    for step in (1, 2, 3):
        to.save(step, state, ledger={"step": step})
    to.wait()
    sync_global_devices("saved")
    [folder] = disk(process).glob("run-*/*")
    print("steps", *sorted(path.name for path in folder.iterdir()))
    print("parts", *sorted(path.name for path in folder.glob("3/*/part-*.bin")))
"""


def run(run_job: RunJob, tmp_path: Path, script: str, *, data: int) -> list[list[str]]:
    """Returns the lines of each process after those of the set-up."""
    ends = run_job(SETUP + script, tmp_path, str(data), num_processes=4)
    assert [e.returncode for e in ends] == [0] * 4, [e.stderr[-3000:] for e in ends]
    outputs = [ended.stdout.splitlines() for ended in ends]
    for process, (steps, parts, *_) in enumerate(outputs):
        assert steps == "steps 2 3"
        kept = {(process - 1) % 4, process} if data == 1 else {process % 2}
        assert parts == " ".join(["parts", *(f"part-{part}.bin" for part in sorted(kept))])
    return [lines for _, _, *lines in outputs]


SCRIPT = """
    for shift in (0, 1, 2):  # every process on another host than before
        to, found = opened((process + shift) % count)
        assert [step for step, _ in found] == [3, 2], found
        check(to.restore(found[0], damaged={}))
    first_gone, then_gone, part, *holders = map(int, arguments[2:])
    wiped(first_gone)
    for is_restored, holder in zip((True, False), holders):
        sync_global_devices(f"before the damage of {holder}")
        if process == holder:
            [file] = disk(holder).glob(f"run-*/*/3/*/part-{part}.bin")
            content = bytearray(file.read_bytes())
            content[-5] ^= 1
            file.write_bytes(content)
        sync_global_devices(f"after the damage of {holder}")
        to, found = opened()
        restored = to.restore(found[0], damaged={})
        assert (restored is not None) == is_restored
        if is_restored:
            check(restored)
    check(to.restore(found[1], damaged={}))

    other = make_mesh(MeshConfig(data=8 // data, fsdp=-1))
    moved = {
        name: jax.ShapeDtypeStruct(
            leaf.shape, leaf.dtype, sharding=NamedSharding(other, leaf.sharding.spec)
        )
        for name, leaf in abstract.items()
    }
    _, found = opened(state=moved)
    assert found == []

    wiped(then_gone)
    to, found = opened()
    assert found == []
    to.clear()
    assert not disk(process).exists() or not [*disk(process).iterdir()]
"""


@pytest.mark.parametrize(
    ("data", "gone", "part", "holders"),
    [(1, (1, 2), 2, (2, 3)), (2, (0, 2), 1, (3, 1))],
    ids=["peers", "replicas"],
)
def test_bits_come_back_while_any_disk_has_each_part(
    tmp_path: Path,
    run_job: RunJob,
    data: int,
    gone: tuple[int, int],
    part: int,
    holders: tuple[int, int],
) -> None:
    numbers = [str(number) for number in (data, *gone, part, *holders)]
    ends = run_job(SETUP + SCRIPT, tmp_path, *numbers, num_processes=4)
    assert [e.returncode for e in ends] == [0] * 4, [e.stderr[-3000:] for e in ends]
    here = f"mesh data {data} × fsdp {8 // data} × tensor 1 of 4 processes"
    there = f"mesh data {8 // data} × fsdp {data} × tensor 1 of 4 processes"
    for process, ended in enumerate(ends):
        steps, parts, *told = ended.stdout.splitlines()
        assert steps == "steps 2 3"
        kept = {(process - 1) % 4, process} if data == 1 else {process % 2}
        assert parts == " ".join(["parts", *(f"part-{number}.bin" for number in sorted(kept))])
        # The first holder's damage is met again beside the second one's.
        expected = [f"host-{host}" for host in sorted([holders[0], *holders])]
        file = rf"run-\S+/3/process-\d/part-{part}.bin differs from what was written"
        found = [re.search(rf"step 3: \S+/(host-\d)/{file}", line) for line in told[:-1]]
        assert sorted(one[1] for one in found if one) == expected
        ignored = f"local checkpoints are ignored here ({there}): they were saved on {here}"
        assert told[-1] == ignored
