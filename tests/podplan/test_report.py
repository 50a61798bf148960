from typing import Any

import pytest
from rich.console import Console

from codepretrain.podplan.report import (
    gib,
    print_cost,
    print_search,
    spell_mesh,
    spell_pod,
    three_digits,
)


def printed(print_function, value) -> str:
    console = Console(width=200, record=True, quiet=False, file=None)
    with console.capture() as captured:
        print_function(console, value)
    return " ".join(captured.get().split())


def test_names_of_pods_and_meshes():
    pod = {"topology": "v5e:16x16", "num_slices": 2, "num_chips": 512, "num_hosts": 128}
    assert spell_pod(pod) == "2 × v5e:16x16 (512 chips, 128 hosts)"
    one = {"topology": "v5e:2x4", "num_slices": 1, "num_chips": 8, "num_hosts": 1}
    assert spell_pod(one) == "v5e:2x4 (8 chips, 1 host)"
    assert spell_mesh({"mesh": {"data": 8, "fsdp": 32, "tensor": 1}}) == "data 8 × fsdp 32"
    assert spell_mesh({"mesh": {"data": 1, "fsdp": 1, "tensor": 1}}) == "one chip"
    assert gib(15.75 * 2**30) == "15.75 GiB"


def test_a_search_shows_what_fits_and_why_the_others_do_not():
    settings = {"mesh": {"data": 8, "fsdp": 32}, "num_microbatches": 2, "remat_policy": "full"}
    fits = {
        **settings,
        "fits": True,
        "memory": {"total": 2**33},
        "flops": {"recomputation": 1.25},
        "bound_s": {"step": 0.5},
        "bound_mfu": 0.4,
        "bound_by": "hbm",
    }
    large = {**settings, "fits": False, "memory": {"missing": 2**30}}
    broken = {**settings, "fits": False, "error": "refused"}
    text = printed(print_search, [fits, large, broken])
    assert "8 × 32 2 full 8.00 1.25 0.500 40.0% hbm" in text
    assert "8 × 32 2 full no 1.00 GiB too much" in text
    assert "8 × 32 2 full no refused" in text
    assert "data × fsdp × tensor" in text


def test_a_price_has_a_column_only_where_it_is_known():
    row = {"tokens": 2e9, "chip_hours": 1234.0, "pod_hours": 4.8, "price": None}
    cost: dict[str, Any] = {
        "mfu": 0.4,
        "price_per_chip_hour": None,
        "phases": {"trunk": row},
        "total": row,
        "calibration": [],
    }
    text = printed(print_cost, cost)
    assert "trunk 1 2B 1,234 4.80" in text.replace(" │", "").replace("│ ", "")
    assert "price" not in text
    priced = {**row, "price": 1480.8}
    cost |= {"price_per_chip_hour": 1.2, "phases": {"trunk": priced}, "total": priced}
    text = printed(print_cost, cost)
    assert "price" in text
    assert "1,481" in text


def test_replicates_of_a_phase_are_one_line():
    row = {"tokens": 2e9, "chip_hours": 100.0, "pod_hours": 4.0, "price": None}
    names = ("trunk", "cooldown", "trunk-r1", "cooldown-r1", "trunk-r2", "alone")
    total = {key: None if value is None else 6 * value for key, value in row.items()}
    cost: dict[str, Any] = {
        "mfu": 0.4,
        "price_per_chip_hour": None,
        "phases": dict.fromkeys(names, row),
        "total": total,
        "calibration": [],
    }
    text = printed(print_cost, cost).replace(" │", "").replace("│ ", "")
    for line in ("trunk 3 6B 300 12.0", "cooldown 2 4B 200 8.00", "alone 1 2B 100 4.00"):
        assert line in text
    assert "all 6 12B 600 24.0" in text
    assert "-r1" not in text


def test_the_numbers_of_a_small_study_are_not_rounded_to_zero():
    row = {"tokens": 5_284_000, "chip_hours": 0.0000341, "pod_hours": 0.0, "price": None}
    cost: dict[str, Any] = {
        "mfu": 0.005,
        "price_per_chip_hour": None,
        "phases": {"trunk": row},
        "total": row,
        "calibration": [],
    }
    text = printed(print_cost, cost).replace(" │", "").replace("│ ", "")
    assert "trunk 1 5.284M 0.0000341 0" in text
    assert "an assumed MFU of 0.5%" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.000123, "0.000123"),
        (0.39, "0.390"),
        (4.8, "4.80"),
        (1234.5, "1,234"),
        (9.999, "10.0"),
    ],
)
def test_three_significant_digits(value, text):
    assert three_digits(value) == text
