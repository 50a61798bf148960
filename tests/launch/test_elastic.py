"""The same batch on fewer slices, by more micro-batches."""

from dataclasses import replace

import pytest

from codepretrain.config.schema import MeshConfig
from codepretrain.hardware.mesh_axes import AXES
from codepretrain.launch import elastic
from tests.launch.random_faults import job, phase, single


@pytest.mark.parametrize(
    ("batch", "microbatches", "tensor", "expected"),
    [
        # 4 slices of 2 hosts of 8 devices: 64, 48, 32 or 16 devices
        (512, 1, 1, {4: 1, 3: None, 2: 2, 1: 4}),
        (512, 2, 1, {4: 2, 3: None, 2: 4, 1: 8}),
        (576, 1, 1, {4: 1, 3: 2, 2: 2, 1: 4}),
        (512, 1, 4, {4: 1, 3: None, 2: 2, 1: 4}),
        (512, 3, 1, {4: None, 3: None, 2: 8, 1: 16}),
        (64, 1, 1, {4: 1, 3: None, 2: 2, 1: 4}),
        (64, 1, 5, {4: None, 3: None, 2: None, 1: None}),
        (32, 1, 1, {4: None, 3: None, 2: 1, 1: 2}),
    ],
)
def test_num_microbatches(batch: int, microbatches: int, tensor: int, expected: dict) -> None:
    mesh = MeshConfig(tensor=tensor) if tensor > 1 else MeshConfig()
    stage = phase("a", batch_size=batch, num_microbatches=microbatches, mesh=mesh)
    plan = replace(job(stage, slices=4, hosts=2), chips_per_host=8)
    assert {n: elastic.num_microbatches(plan, stage, n) for n in expected} == expected
    for number, found in expected.items():
        shards = number * 16 // tensor
        if found is not None and number < 4:
            assert batch % (shards * found) == 0  # what `codepretrain train` asks for
            whole_rows = batch / (64 / tensor) / microbatches
            assert batch / shards / found <= max(1, whole_rows)


def test_feasible_slices_and_arguments() -> None:
    stage = phase("a", batch_size=512)
    plan = replace(job(stage, slices=4, hosts=2), chips_per_host=8)
    found = [elastic.feasible_slices(plan, stage, number) for number in (9, 4, 3, 2, 1, 0)]
    assert found == [4, 4, 2, 2, 1, 0]
    assert elastic.arguments(plan, stage, 4) == stage.arguments
    more = "--config.execution.num_microbatches=2"
    assert elastic.arguments(plan, stage, 2) == (*stage.arguments, more)
    report = single("report")
    assert elastic.arguments(plan, report, 1) == report.arguments


@pytest.mark.parametrize(
    ("mesh", "expected"),
    [
        # 4 slices of 16 devices. The rule of the machine adapts by itself.
        (MeshConfig(), {4: (), 2: (), 1: ()}),
        # Each device keeps its part of the parameters: `data` shrinks.
        (MeshConfig(data=4, fsdp=16), {4: (), 2: (2, 16, 1), 1: (1, 16, 1)}),
        (MeshConfig(data=4, fsdp=-1), {4: (), 2: (2, 16, 1), 1: (1, 16, 1)}),
        (MeshConfig(data=-1, fsdp=4, tensor=4), {4: (), 2: (2, 4, 4), 1: (1, 4, 4)}),
        # fsdp over slices, as local hosts allow: over two slices and over one, if it is -1.
        (MeshConfig(data=2, fsdp=32), {4: (), 2: (1, 32, 1), 1: None}),
        (MeshConfig(fsdp=64), {4: (), 2: None, 1: None}),
        (MeshConfig(fsdp=-1), {4: (), 2: (1, 32, 1), 1: (1, 16, 1)}),
        (MeshConfig(data=3, fsdp=16), {4: None, 2: None}),  # refused by `launch submit`
    ],
)
def test_an_explicit_mesh(mesh: MeshConfig, expected: dict[int, tuple | None]) -> None:
    stage = phase("a", batch_size=512, mesh=mesh)
    plan = replace(job(stage, slices=4, hosts=2), chips_per_host=8)
    for number, sizes in expected.items():
        found = elastic.num_microbatches(plan, stage, number)
        if sizes is None:
            assert found is None
            continue
        flags = [f"--config.execution.mesh.{a}={n}" for a, n in zip(AXES, sizes, strict=False)]
        more = [f"--config.execution.num_microbatches={found}"] if number < 4 else []
        assert found == 4 // number
        assert elastic.arguments(plan, stage, number) == (*stage.arguments, *flags, *more)


def test_told() -> None:
    stage = phase("a", batch_size=512, num_microbatches=2, mesh=MeshConfig(data=4, fsdp=16))
    plan = replace(job(stage, slices=4, hosts=2), chips_per_host=8)
    assert elastic.told(plan, stage, 4) == ""
    assert elastic.told(plan, stage, 2) == (
        "on 2 of 4 slices, 4 micro-batches instead of 2, mesh data 2 × fsdp 16 × tensor 1"
    )
    report = single("report")
    assert elastic.told(plan, report, 1) == ""
