"""Names of pods, and (where the TPU compiler is installed) how meshes lie on their chips."""

import math
import os

import pytest

from codepretrain.config.schema import MeshConfig
from codepretrain.errors import UserError
from codepretrain.podplan.topology import check_compiler, parse_topology, topology_devices
from codepretrain.train.sharding import make_mesh


def test_parse():
    pod = parse_topology("v5p:4x4x8", num_slices=2)
    assert (pod.name, pod.chips_per_slice, pod.num_chips) == ("v5p:4x4x8", 128, 256)
    assert parse_topology("v5e:16x16").environment["TPU_ACCELERATOR_TYPE"] == "v5litepod-256"
    assert pod.environment["TPU_ACCELERATOR_TYPE"] == "v5p-256"  # counted in cores
    assert pod.num_hosts == 2 * 32


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("v5e", r"expected chip:AxB or chip:AxBxC, such as v5e:4x4, .*; got 'v5e'"),
        ("v5f:4x4", r"there is no TPU 'v5f' to plan for; did you mean v5"),
        ("h200:2x4", r"there is no TPU 'h200' to plan for"),
        ("v5e:2x2x2", r"a slice of v5e has 2 dimensions, got 2x2x2; examples: v5e:4x4, v5e:16x16$"),
        ("v5e:0x4", r"expected sizes of 1 or more, got 0x4"),
        ("v5e:٤x٤", r"expected chip:AxB"),
        ("v5p:4x4", r"a slice of v5p has 3 dimensions"),
    ],
)
def test_refused(text, message):
    with pytest.raises(UserError, match=message):
        parse_topology(text)


def test_too_few_slices():
    with pytest.raises(UserError, match="--slices: expected 1 or more, got 0"):
        parse_topology("v5e:4x4", num_slices=0)


def test_without_the_compiler(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'codepretrain\[tpu\]'"):
        check_compiler()


@pytest.fixture
def pod(monkeypatch):
    pytest.importorskip("libtpu")

    def devices(text, **kwargs):
        topology = parse_topology(text, **kwargs)
        for name, value in topology.environment.items():
            monkeypatch.setitem(os.environ, name, value)
        return topology_devices(topology)

    return devices


@pytest.mark.parametrize(
    ("text", "num_slices"), [("v5e:16x16", 1), ("v6e:8x8", 1), ("v5p:4x4x8", 1), ("v5e:16x16", 2)]
)
def test_neighbors_along_fsdp_are_a_box_of_chips(pod, text, num_slices):
    mesh = make_mesh(MeshConfig(), pod(text, num_slices=num_slices))
    assert dict(mesh.shape)["fsdp"] == 32
    for group in mesh.devices.reshape(-1, 32):
        assert len({getattr(device, "slice_index", 0) for device in group}) == 1
        sides = zip(*(device.coords for device in group), strict=True)
        assert math.prod(max(side) - min(side) + 1 for side in sides) == 32
    processes = [device.process_index for device in mesh.devices.flat]
    assert processes == sorted(processes)


@pytest.mark.parametrize("text", ["v5e:4x4", "v5e:16x16", "v6e:16x16", "v5p:4x4x4"])
def test_hosts_are_those_of_the_compiler(pod, text):
    assert len({device.process_index for device in pod(text)}) == parse_topology(text).num_hosts


def test_fsdp_does_not_cross_slices(pod):
    with pytest.raises(UserError, match=r"fsdp 32 × tensor 1 does not divide the 16 devices of"):
        make_mesh(MeshConfig(fsdp=32), pod("v5e:4x4", num_slices=2))


def test_refused_by_the_compiler(pod):
    with pytest.raises(UserError, match=r"the TPU compiler refuses it \(.*; try v5e:4x4"):
        pod("v5e:16x17")
