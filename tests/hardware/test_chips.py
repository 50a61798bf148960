import pytest

from codepretrain.hardware.chips import CHIPS, chip_of, model_flops_utilization


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


def test_mfu_by_hand():
    # 10 tokens/s of 197e9 FLOPs on one chip of 197e12: 1%
    mfu = model_flops_utilization(
        tokens_per_s=10.0, flops_per_token=197e9, num_chips=1, chip=CHIPS["v5e"]
    )
    assert mfu == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("name", "num_chips", "hosts"),
    [
        ("v5e", 256, 64),
        ("v5e", 16, 4),
        ("v5e", 8, 1),
        ("v5e", 4, 1),
        ("v6e", 256, 64),
        ("v6e", 1, 1),
        ("v5p", 128, 32),
        ("h100", 16, 2),
        ("h200", 4, 1),
    ],
)
def test_hosts_of_a_slice(name, num_chips, hosts):
    """Four chips per machine, except for v5e and v6e slices that are one machine."""
    assert CHIPS[name].num_hosts(num_chips) == hosts
