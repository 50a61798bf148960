"""The step compiled for eight CPU devices, analyzed as for a pod.

The CPU compiler differs from the TPU compiler, but the partitioner is the same: what is gathered
and reduced, over which axis, and how often.
"""

import dataclasses
from collections.abc import Callable

import pytest

from codepretrain.config.schema import (
    DataConfig,
    ExecutionConfig,
    MeshConfig,
    ModelConfig,
    StudyConfig,
    TrainingConfig,
)
from codepretrain.podplan import compiled_step
from codepretrain.podplan.collectives import Collective, collectives
from codepretrain.podplan.hlo import Program, parse
from codepretrain.podplan.hlo_cost import compiled_flops
from codepretrain.podplan.topology import parse_topology
from codepretrain.train.sharding import make_mesh
from codepretrain.train.step import compile_train_step

MESH = {"data": 2, "fsdp": 4, "tensor": 1}
B, T, V, D, F, N, K, H = 16, 256, 2048, 64, 96, 4, 2, 16
MICROBATCHES = 2


@pytest.fixture(scope="module")
def program() -> Callable[[int], Program]:
    """Compiles the step of a model of so many layers, once each."""
    programs: dict[int, Program] = {}

    def compiled(num_layers: int) -> Program:
        if num_layers not in programs:
            mesh = make_mesh(MeshConfig(**MESH))
            text = compile_train_step(_config(num_layers), mesh).as_text()
            assert text is not None
            programs[num_layers] = parse(text)
        return programs[num_layers]

    return compiled


def _config(num_layers: int) -> StudyConfig:
    return StudyConfig(
        name="test",
        model=ModelConfig(
            vocab_size=V,
            d_model=D,
            num_layers=num_layers,
            num_heads=N,
            num_kv_heads=K,
            head_dim=H,
            d_ff=F,
        ),
        data=DataConfig(sources={}, max_seq_len=T),
        training=TrainingConfig(batch_size=B),
        execution=ExecutionConfig(
            num_microbatches=MICROBATCHES,
            remat_policy="full",
            attention_kernel="reference",
            loss_vocab_block=256,
        ),
        phases={},
        variants={},
    )


def matrix_gathers(found: list[Collective]) -> list[Collective]:
    """The gathers of a layer's matrices: MLP and heads, by the dims that only they have."""
    return [c for c in found if c.kind == "all-gather" and {F, N, K} & set(c.dims) and D in c.dims]


def test_no_logits(program):
    """No array holds a vocabulary for every token of a micro-batch's rows on one device."""
    tokens = B * T // 8 // MICROBATCHES
    for instruction, _, _ in program(2).walk():
        for shape in instruction.shapes:
            assert shape.size < tokens * V, instruction


def test_the_embedding_is_never_gathered_whole(program):
    for one in collectives(program(2), MESH):
        if one.kind == "all-gather":
            size = 1
            for dim in one.dims:
                size *= dim
            assert size < V * D, one


@pytest.mark.parametrize("num_layers", [2, 6])
def test_a_layer_gathers_its_matrices_twice(program, num_layers):
    """Seven matrices, over fsdp alone: once forward, once for recomputation and backward."""
    gathers = matrix_gathers(collectives(program(num_layers), MESH))
    assert {one.axes for one in gathers} == {("fsdp",)}
    assert {one.executions for one in gathers} == {num_layers * MICROBATCHES}
    assert len(gathers) == 2 * 7


def test_gradients_are_reduced_in_every_layer(program):
    """Over fsdp where they are computed, and the part that is kept over data."""
    reduced = [
        one
        for one in collectives(program(6), MESH)
        if one.kind in ("all-reduce", "reduce-scatter") and one.executions == 6 * MICROBATCHES
    ]
    assert {("fsdp",), ("data",)} <= {one.axes for one in reduced}
    over_data = sum(one.operand_bytes for one in reduced if one.axes == ("data",))
    matrices = D * (2 * N * H + 2 * K * H + 3 * F)
    assert over_data == pytest.approx(4 * matrices / MESH["fsdp"], rel=0.01)


def test_compiled_flops_are_those_of_the_policy(program):
    """`full`: forward twice but for what nothing reads again, backward as much as two forwards."""
    matrices = 2 * D * (2 * N * H + 2 * K * H + 3 * F)
    not_again = 2 * D * (N * H + F)  # the output and down projections
    attention = 4 * N * H * T  # the reference kernel computes the masked half too
    per_token = 6 * (4 * matrices - not_again + 4 * attention) + 4 * 2 * D * V
    assert compiled_flops(program(6)) == B * T // 8 * per_token


def test_the_program_does_not_grow_with_layers(program):
    sizes = [
        sum(len(computation.instructions) for computation in program(n).computations.values())
        for n in (2, 6)
    ]
    assert sizes[1] <= 1.05 * sizes[0]


def test_memory_that_is_missing():
    """Both of the compiler's messages; parameters and moments are 12 bytes each over fsdp."""
    pod_of_eight, mesh = parse_topology("v5e:2x4"), make_mesh(MeshConfig(**MESH))
    message = (
        "RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required for HLO "
        "temporaries (29.25G) exceeds available HBM (15.75G)."
    )
    missing = compiled_step._memory_that_is_missing(message, _config(2), pod_of_eight, mesh)
    parameters = V * D + 2 * D * (2 * N * H + 2 * K * H + 3 * F)
    assert missing["arguments"] == pytest.approx(12 * parameters / 4, rel=0.1)
    assert missing["total"] == missing["arguments"] + 29.25 * 2**30
    assert missing["missing"] == missing["total"] - 15.75 * 2**30
    message = "Ran out of memory in memory space hbm. Used 20.00G of 15.75G hbm."
    found = compiled_step._memory_that_is_missing(message, _config(2), pod_of_eight, mesh)
    assert found["missing"] == 4.25 * 2**30
    assert (
        compiled_step._memory_that_is_missing("INTERNAL: no", _config(2), pod_of_eight, mesh)
        is None
    )


def test_a_batch_with_fewer_rows_than_chips():
    config = _config(2)
    with pytest.raises(ValueError, match=r"batch_size: 16 rows are fewer than the 256 chips"):
        compiled_step.check_fits_batch(config, parse_topology("v5e:16x16"))
    execution = dataclasses.replace(config.execution, mesh=MeshConfig(tensor=16))
    compiled_step.check_fits_batch(
        dataclasses.replace(config, execution=execution), parse_topology("v5e:16x16")
    )
