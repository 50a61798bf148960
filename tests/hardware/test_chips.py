import pytest

from codepretrain.config.schema import MeshConfig
from codepretrain.hardware.chips import CHIPS, chip_of, model_flops_utilization
from codepretrain.hardware.mesh_rules import mesh_rule
from codepretrain.hardware.xla_options import XLA_OPTIONS, xla_options
from codepretrain.podplan.roofline import roofline


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("TPU v5 lite", "v5e"),
        ("TPU v5", "v5p"),  # "tpu v5 lite" begins like it
        ("TPU v5p", "v5p"),
        ("TPU v6 lite", "v6e"),
        ("NVIDIA H200", "h200"),
        ("NVIDIA H100 80GB HBM3", "h100"),
    ],
)
def test_chip_of(kind, name):
    assert chip_of(kind) is CHIPS[name]


def test_unknown_chip():
    assert chip_of("cpu") is None
    assert xla_options("cpu") == {}


def test_every_chip_has_options():
    assert set(XLA_OPTIONS) == set(CHIPS)


def test_mfu_by_hand():
    # 10 tokens/s of 197e9 FLOPs on one chip of 197e12: 1%
    mfu = model_flops_utilization(
        tokens_per_s=10.0, flops_per_token=197e9, num_chips=1, chip=CHIPS["v5e"]
    )
    assert mfu == pytest.approx(0.01)


def test_roofline_by_hand():
    v5e = CHIPS["v5e"]
    bounds = roofline(v5e, flops=197e12, hbm_bytes=0.819e12 * 2, ici_bytes=20e9, dcn_bytes=3.125e9)
    assert (bounds.compute, bounds.hbm, bounds.ici, bounds.dcn) == pytest.approx((1, 2, 0.1, 1))
    assert bounds.seconds == pytest.approx(2)
    assert bounds.limited_by == "hbm"


def test_mesh_rule():
    assert mesh_rule("cpu", devices_per_slice=8) == MeshConfig(data=1, fsdp=-1, tensor=1)
    assert mesh_rule("TPU v5 lite", devices_per_slice=256) == MeshConfig(data=-1, fsdp=32, tensor=1)
    assert mesh_rule("TPU v5 lite", devices_per_slice=16).fsdp == 16
    assert mesh_rule("NVIDIA H200", devices_per_slice=1).fsdp == 1
