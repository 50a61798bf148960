"""The mesh axes: one table of what each axis splits and how far it may span.

    data    replicas: each holds the whole state and its own rows of the batch
    fsdp    rows of the batch; parameters and moments in parts, gathered where they are used
    tensor  heads, MLP and vocabulary within a layer

Axes are ordered from the slowest to the fastest over the devices, so what communicates most is
closest. To add one, add its row here and its field to `MeshConfig`; everything else is derived. A
dim that no axis split before also needs its name where the model uses it (`model/constrain.py`).
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from codepretrain.config.schema import MeshConfig
from codepretrain.errors import UserError


@dataclass(frozen=True, kw_only=True)
class MeshAxis:
    """One axis.

    dims: the names of the parameters' and activations' dims that it splits. default: its size where
    the config gives another axis but not this one; -1 takes the remaining devices. within: the
    largest part of the machine that it may span.
    """

    dims: tuple[str, ...]
    default: int
    within: Literal["pod", "slice", "process"]


AXES: dict[str, MeshAxis] = {
    "data": MeshAxis(dims=("batch", "lookup_batch"), default=1, within="pod"),
    "fsdp": MeshAxis(dims=("batch", "embed", "lookup_embed"), default=-1, within="slice"),
    "tensor": MeshAxis(dims=("heads", "kv_heads", "mlp", "vocab"), default=1, within="process"),
}
_UNSPLIT = ("tokens", "layers", "head_dim")

assert tuple(AXES) == tuple(field.name for field in dataclasses.fields(MeshConfig))


def axes_of(dim: str | None) -> tuple[str, ...]:
    """Returns the mesh axes that split the dim of this name; None names a dim that none splits."""
    axes = tuple(name for name, axis in AXES.items() if dim in axis.dims)
    assert axes or dim is None or dim in _UNSPLIT, f"no dim is called {dim!r}"
    return axes


def inner_axes(part: Literal["slice", "process"]) -> tuple[str, ...]:
    """Returns the axes that must be within a slice, or within a process."""
    inside = {"slice": ("slice", "process"), "process": ("process",)}[part]
    return tuple(name for name, axis in AXES.items() if axis.within in inside)


def num_parts(dim: str, sizes: Mapping[str, int]) -> int:
    """Returns the number of parts into which a mesh of these sizes splits the dim of this name."""
    return product(sizes, axes_of(dim))


def product(sizes: Mapping[str, int], axes: tuple[str, ...]) -> int:
    """Returns the number of devices along these axes together."""
    return math.prod(sizes[axis] for axis in axes)


def spell(sizes: Mapping[str, int], axes: tuple[str, ...] | None = None) -> str:
    """Returns "data 2 × fsdp 4 × tensor 1", or that of some axes."""
    return " × ".join(f"{axis} {sizes[axis]}" for axis in axes or tuple(sizes))


def axis_sizes(config: MeshConfig, num_devices: int) -> dict[str, int]:
    """Returns the size of every axis, slowest first, for a config that gives at least one.

    Raises:
      UserError: the sizes are invalid or do not multiply to the number of devices.
    """
    given = dataclasses.asdict(config)
    sizes = {
        name: axis.default if given[name] is None else given[name] for name, axis in AXES.items()
    }
    asked = f"config.execution.mesh: {spell(sizes)}"
    open_axes = [name for name, size in sizes.items() if size == -1]
    if len(open_axes) > 1 or any(size < 1 and size != -1 for size in sizes.values()):
        raise UserError(f"{asked}; expected positive sizes, and -1 for at most one axis")
    known = math.prod(size for size in sizes.values() if size != -1)
    if open_axes and num_devices % known:
        raise UserError(
            f"{asked}: {num_devices} devices are not divisible by {known}; the given sizes must "
            f"multiply to one of {_divisors(num_devices)}"
        )
    if open_axes:
        sizes[open_axes[0]] = num_devices // known
    elif known != num_devices:
        raise UserError(
            f"{asked} = {known} devices, but there are {num_devices}; make the sizes multiply to "
            f"{num_devices}, or set one to -1 to take the remaining devices"
        )
    return sizes


def check_spans(sizes: Mapping[str, int], *, num_slices: int, num_processes: int) -> None:
    """Raises UserError if an axis spans more of a machine than it may."""
    num_devices = math.prod(sizes.values())
    devices_per_slice, devices_per_process = num_devices // num_slices, num_devices // num_processes
    inner, innermost = inner_axes("slice"), inner_axes("process")
    if devices_per_slice % product(sizes, inner):
        outer = " × ".join(axis for axis in AXES if axis not in inner)
        raise UserError(
            f"config.execution.mesh: {spell(sizes, inner)} does not divide the "
            f"{devices_per_slice} devices of each of the {num_slices} slices; these axes must lie "
            f"within a slice: make {outer} a multiple of {num_slices}"
        )
    if devices_per_process % product(sizes, innermost):
        raise UserError(
            f"config.execution.mesh: {spell(sizes, innermost)} does not divide the "
            f"{devices_per_process} devices of each process; {' and '.join(innermost)} "
            "must lie within a process"
        )


def _divisors(number: int) -> str:
    return ", ".join(str(n) for n in range(1, number + 1) if number % n == 0)
