import pytest

from codepretrain.config.schema import MeshConfig
from codepretrain.hardware.chips import CHIPS
from codepretrain.hardware.mesh_rules import mesh_rule


def test_mesh_rule():
    assert mesh_rule("cpu", devices_per_slice=8) == MeshConfig(fsdp=-1)
    assert mesh_rule("TPU v5 lite", devices_per_slice=256) == MeshConfig(data=-1, fsdp=32)
    assert mesh_rule("TPU v5 lite", devices_per_slice=16).fsdp == 16
    assert mesh_rule("NVIDIA H200", devices_per_slice=1).fsdp == 1


@pytest.mark.parametrize("chip", CHIPS.values(), ids=lambda chip: chip.name)
@pytest.mark.parametrize("devices", [1, 4, 12, 256])
def test_fsdp_divides_every_slice(chip, devices):
    fsdp = mesh_rule(chip.device_kinds[0], devices_per_slice=devices).fsdp
    assert devices % fsdp == 0


@pytest.mark.parametrize(("d_model", "fsdp"), [(2560, 32), (768, 32), (384, 16), (100, 4), (8, 1)])
def test_each_chip_holds_at_least_a_tile_of_rows(d_model, fsdp):
    """16 rows of a bfloat16 tile, and the same number on every chip."""
    assert mesh_rule("TPU v5 lite", devices_per_slice=256, d_model=d_model).fsdp == fsdp
