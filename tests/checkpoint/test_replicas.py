"""A restore on several replicas reads each array once from storage."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from codepretrain.checkpoint import replicas
from codepretrain.config.schema import MeshConfig
from codepretrain.train.sharding import make_mesh
from tests.fixtures.processes import RunJob

SCRIPT = """
    import hashlib

    import numpy as np
    import tensorstore as ts
    from jax.sharding import NamedSharding, PartitionSpec

    from codepretrain.checkpoint import whole
    from codepretrain.checkpoint.manager import Checkpoints
    from codepretrain.checkpoint.policy import CheckpointPolicy
    from codepretrain.config.schema import CheckpointConfig, MeshConfig
    from codepretrain.train.sharding import make_mesh

    mesh = make_mesh(MeshConfig(data=2, fsdp=2))
    bits = np.random.default_rng(0).integers(0, 2**32, (512, 1024), dtype=np.uint32)
    bits[0, :4] = 0x80000000, 0x7FC00001, 0xFF800000, 0  # -0, a NaN with bits of its own, -inf, 0
    halves = bits[:64].view(np.uint16).view(jax.numpy.bfloat16)
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
    to = Checkpoints(arguments[0], CheckpointPolicy(CheckpointConfig(), frozenset({1})))
    to.save(1, state, ledger={}, identity={})
    to.wait()

    def bytes_read():
        found = ts.experimental_collect_matching_metrics("/tensorstore/kvstore/file/bytes_read")
        return sum(metric["values"][0]["value"] for metric in found)

    before = bytes_read()
    restored = to.restore(abstract).state
    print(bytes_read() - before)
    for name, (value, spec) in values.items():
        assert restored[name].sharding.is_equivalent_to(abstract[name].sharding, value.ndim)
        assert restored[name].dtype == value.dtype
        for shard in restored[name].addressable_shards:
            assert np.asarray(shard.data).tobytes() == value[shard.index].tobytes(), name
    to.close()
"""


def test_one_replica_reads_and_all_have_the_same_bits(tmp_path: Path, run_job: RunJob) -> None:
    ends = run_job(SCRIPT, tmp_path / "checkpoints")
    assert [ended.returncode for ended in ends] == [0, 0], [ended.stderr[-3000:] for ended in ends]
    first, second = (int(ended.stdout.splitlines()[-1]) for ended in ends)
    assert first > 2 * 2**20
    assert second < 2**16  # nothing but what says how the arrays are stored


FAILING = """
    real = whole.read_arrays
    def fail(*given, **named):
        raise OSError("the disk of the reader is broken")
    whole.read_arrays = fail
    try:
        to.restore(abstract)
    except Exception as error:
        print(type(error).__name__, error)
    to.close()
"""


def test_all_processes_are_told_that_the_reader_has_failed(tmp_path: Path, run_job: RunJob) -> None:
    script = SCRIPT.partition("    before = bytes_read()")[0] + FAILING
    for ended in run_job(script, tmp_path / "checkpoints"):
        assert ended.returncode == 0, ended.stderr[-3000:]
        assert "the disk of the reader is broken" in ended.stdout


def abstract(spec: PartitionSpec, **mesh: int) -> jax.ShapeDtypeStruct:
    sharding = NamedSharding(make_mesh(MeshConfig(**mesh)), spec)
    return jax.ShapeDtypeStruct((8, 8), jnp.float32, sharding=sharding)


def test_one_process_reads_as_before() -> None:
    assert not replicas.has_other_replicas({"x": abstract(PartitionSpec("fsdp"), data=2, fsdp=4)})
    assert not replicas.has_other_replicas({})


def test_bits_of_the_first_replica_reach_the_others() -> None:
    wanted = {"x": abstract(PartitionSpec("fsdp"), data=2, fsdp=4)}
    bits = np.arange(64, dtype=np.uint32).reshape(8, 8) | np.uint32(0x80000000)
    on_first = replicas.first_replica(wanted)
    assert len(on_first["x"].sharding.device_set) == 4
    own = {"x": jax.device_put(bits.view(np.float32), on_first["x"].sharding)}
    found = replicas.send_to_all(wanted, own)["x"]
    assert found.sharding == wanted["x"].sharding
    for shard in found.addressable_shards:
        assert np.asarray(shard.data).tobytes() == bits[shard.index].tobytes()
