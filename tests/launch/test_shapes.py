"""The slices of each chip, against numbers from Google Cloud's documentation."""

import pytest

from codepretrain.errors import UserError
from codepretrain.launch.shapes import compact_shape, parse_slice, shapes_of


@pytest.mark.parametrize(
    ("name", "hosts", "accelerator", "machine"),
    [
        ("v5e:1x1", 1, "v5litepod-1", "ct5lp-hightpu-1t"),
        ("v5e:2x2", 1, "v5litepod-4", "ct5lp-hightpu-4t"),
        ("v5e:2x4", 1, "v5litepod-8", "ct5lp-hightpu-8t"),
        ("v5e:4x4", 4, "v5litepod-16", "ct5lp-hightpu-4t"),
        ("v5e:16x16", 64, "v5litepod-256", "ct5lp-hightpu-4t"),
        ("v6e:2x4", 1, "v6e-8", "ct6e-standard-8t"),
        ("v6e:8x8", 16, "v6e-64", "ct6e-standard-4t"),
        ("v5p:2x2x1", 1, "v5p-8", "ct5p-hightpu-4t"),
        ("v5p:2x2x2", 2, "v5p-16", "ct5p-hightpu-4t"),
        ("v5p:4x4x8", 32, "v5p-256", "ct5p-hightpu-4t"),
        ("v5p:8x12x16", 384, "v5p-3072", "ct5p-hightpu-4t"),
        ("v5p:16x16x24", 1536, "v5p-12288", "ct5p-hightpu-4t"),
    ],
)
def test_tpu_slices(name: str, hosts: int, accelerator: str, machine: str) -> None:
    found = parse_slice(name, path="p")
    assert (found.num_hosts, found.accelerator_type) == (hosts, accelerator)
    assert found.machine_type == machine
    assert found.chips_per_host * hosts == found.num_chips
    assert found.name == name
    assert found.node_labels["cloud.google.com/gke-tpu-topology"] == name.partition(":")[2]


def test_gpus_are_whole_machines() -> None:
    found = parse_slice("h100:64", path="p")
    assert (found.num_hosts, found.num_chips, found.chips_per_host) == (8, 64, 8)
    assert (found.machine_type, found.resource) == ("a3-highgpu-8g", "nvidia.com/gpu")
    assert found.node_labels == {"cloud.google.com/gke-accelerator": "nvidia-h100-80gb"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("v5e:3x3", "v5e has no shape 3x3; it has 1x1, 2x2, 2x4, 4x4, 4x8, 8x8, 8x16, 16x16; try"),
        ("v5e:8x4", "try 4x8"),
        ("v5e:04x4", "v5e has no shape 04x4"),
        ("v6e:16x32", "try 16x16"),
        ("v5p:4x4", "try 2x2x4"),
        ("v5p:8x4x4", "multiples of 4 with A ≤ B ≤ C up to 16x16x24; try 4x4x8"),
        ("v5p:2x2x8", "try 2x4x4"),
        ("v5p:20x20x20", "try 16x16x24"),
        ("h100:12", "whole machines of 8: 8, 16, 24 and so on to 8,192; try h100:8 or 16"),
        ("h100:0", "try h100:8"),
        ("h100:4x4", "h100 has no shape 4x4"),
        ("v4:2x2x1", "there are no machines of 'v4'; expected one of: v5e, v5p, v6e, h100"),
        ("v5e", "expected a chip and its shape, such as v5e:16x16"),
        ("v5e:16x", "expected a chip and its shape"),
    ],
)
def test_a_shape_that_a_chip_lacks_is_refused_with_those_it_has(name: str, words: str) -> None:
    with pytest.raises(UserError) as error:
        parse_slice(name, path="machine.machine.topology")
    assert str(error.value).startswith("machine.machine.topology: ")
    assert words in str(error.value)


def test_the_shapes_of_v5p() -> None:
    shapes = shapes_of("v5p")
    assert shapes[:6] == ("2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4", "4x4x8")
    assert shapes[-1] == "16x16x24"
    assert len(set(shapes)) == len(shapes)
    assert all(sorted(map(int, s.split("x"))) == [*map(int, s.split("x"))] for s in shapes[4:])


def test_a_number_of_chips_has_one_compact_shape() -> None:
    assert compact_shape(parse_slice("v5p:4x4x16", path="p")) == "4x8x8"
    assert compact_shape(parse_slice("v5p:2x2x1", path="p")) == "2x2x1"
    assert compact_shape(parse_slice("v5e:4x8", path="p")) == "4x8"
