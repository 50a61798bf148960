"""Chip-hours by hand, and the MFU that published chip-hours imply."""

import dataclasses
from pathlib import Path

import pytest

from codepretrain.config.load import load_study
from codepretrain.config.schema import CostConfig
from codepretrain.hardware.chips import CHIPS
from codepretrain.model.presets import preset
from codepretrain.podplan.cost import PUBLISHED, chip_hours, implied_mfu, study_cost
from codepretrain.study.graph import resolve

STUDY = Path(__file__).parents[2] / "experiments" / "initialization.py"


def test_chip_hours_by_hand():
    # 470M at T 8192: 3 · (2·205,520,896 + 2·16·1024·8192 + 2·1024·256,000) FLOPs a token
    flops = 3 * (2 * 205_520_896 + 268_435_456 + 524_288_000)
    expected = 200e9 * flops / (0.5 * 197e12) / 3600
    found = chip_hours(200e9, model=preset("470m"), seq_len=8192, chip=CHIPS["v5e"], mfu=0.5)
    assert found == pytest.approx(expected)


def test_implied_mfu():
    assert [round(implied_mfu(entry), 3) for entry in PUBLISHED] == [0.215, 0.406, 0.199]


def test_a_study():
    config = load_study(STUDY)
    config = dataclasses.replace(config, cost=CostConfig(mfu=0.4, price_per_chip_hour=1.2))
    phase_tokens = {name: phase.tokens for name, phase in resolve(config).items()}
    cost = study_cost(config, phase_tokens, chip=CHIPS["v5e"], num_chips=256)
    total = cost["total"]
    assert total["tokens"] == sum(phase_tokens.values())
    assert total["chip_hours"] == pytest.approx(
        sum(row["chip_hours"] for row in cost["phases"].values())
    )
    assert total["price"] == pytest.approx(1.2 * total["chip_hours"])
    assert total["pod_hours"] == pytest.approx(total["chip_hours"] / 256)
    # at the MFU that the published hours imply, 8 × 200B and 4 × 40B take those hours
    then = cost["calibration"][0]["study_chip_hours"]
    assert then == pytest.approx(4736 * total["tokens"] / 200e9)
    assert cost["calibration"][1]["study_chip_hours"] is None  # another model
