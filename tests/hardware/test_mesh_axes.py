"""The table of mesh axes, and the sizes that a config gives them."""

import pytest

from codepretrain.config.schema import MeshConfig
from codepretrain.errors import UserError
from codepretrain.hardware.mesh_axes import (
    AXES,
    MeshAxis,
    axes_of,
    axis_sizes,
    inner_axes,
    num_parts,
    spell,
)


def test_dims_along_the_axes():
    assert axes_of("batch") == ("data", "fsdp")
    assert axes_of("embed") == axes_of("lookup_embed") == ("fsdp",)
    for dim in ("heads", "kv_heads", "mlp", "vocab"):
        assert axes_of(dim) == ("tensor",)
    assert axes_of("lookup_batch") == ("data",)
    assert axes_of("tokens") == axes_of(None) == ()
    with pytest.raises(AssertionError, match="no dim is called 'columns'"):
        axes_of("columns")


def test_axes_within_parts_of_the_machine():
    assert inner_axes("slice") == ("fsdp", "tensor")
    assert inner_axes("process") == ("tensor",)


def test_parts_of_a_dim():
    sizes = {"data": 2, "fsdp": 4, "tensor": 8}
    assert [num_parts(dim, sizes) for dim in ("batch", "embed", "vocab", "tokens")] == [8, 4, 8, 1]
    assert spell(sizes) == "data 2 × fsdp 4 × tensor 8"
    assert spell(sizes, ("fsdp",)) == "fsdp 4"


def test_sizes_that_are_not_given():
    assert axis_sizes(MeshConfig(tensor=2), 8) == {"data": 1, "fsdp": 4, "tensor": 2}
    assert axis_sizes(MeshConfig(data=-1, fsdp=2), 8) == {"data": 4, "fsdp": 2, "tensor": 1}
    with pytest.raises(UserError, match=r"fsdp 3 × tensor 1 = 3 devices, but there are 8"):
        axis_sizes(MeshConfig(fsdp=3), 8)


def test_a_new_axis_is_one_row(monkeypatch):
    """All that depends on the axes is derived from the table."""
    monkeypatch.setitem(AXES, "context", MeshAxis(dims=("tokens",), default=1, within="process"))
    assert axes_of("tokens") == ("context",)
    assert inner_axes("process") == ("tensor", "context")
