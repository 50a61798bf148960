import pytest

from codepretrain.hardware.chips import CHIPS
from codepretrain.podplan.roofline import roofline


def test_by_hand():
    v5e = CHIPS["v5e"]
    bounds = roofline(v5e, flops=197e12, hbm_bytes=0.819e12 * 2, ici_bytes=20e9, dcn_bytes=3.125e9)
    assert (bounds.compute, bounds.hbm, bounds.ici, bounds.dcn) == pytest.approx((1, 2, 0.1, 1))
    assert bounds.seconds == pytest.approx(2)
    assert bounds.limited_by == "hbm"
