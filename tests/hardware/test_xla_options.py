from codepretrain.hardware.chips import CHIPS
from codepretrain.hardware.xla_options import XLA_OPTIONS, xla_options


def test_every_chip_has_options():
    assert set(XLA_OPTIONS) == set(CHIPS)


def test_options_by_device_kind():
    assert xla_options("TPU v6 lite") == XLA_OPTIONS["v6e"]
    assert xla_options("cpu") == {}
