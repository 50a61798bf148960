"""The device mesh, and the one table that says which dim lies along which of its axes.

    data    replicas: each holds the whole state and its own rows of the batch
    fsdp    rows of the batch, and the parameters and moments in parts, gathered where they are used
    tensor  the heads, the MLP and the vocabulary within a layer; never crosses a process

Devices are laid out by slice, then process, then number, `tensor` fastest: what talks most stays
closest, slices part along `data` alone, hosts along `data` and `fsdp`, and process p holds the p-th
contiguous part of every batch, which the loader and the evaluators rely on. That is why the order
is not `mesh_utils.create_device_mesh`'s, which may deal a host's chips all over the mesh. Nothing
is lost by it: TPU hosts are numbered along the torus, so every group of neighbors along an axis is
a box of chips in it (`tests/machine/test_topology.py`).
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from codepretrain.config.schema import MeshConfig
from codepretrain.errors import UserError
from codepretrain.hardware.mesh_rules import mesh_rule
from codepretrain.stream.batch import Batch

AXES = ("data", "fsdp", "tensor")
_ROWS = ("data", "fsdp")

# Names of the dims of parameters and of activations → mesh axes.
RULES: dict[str | None, str | tuple[str, ...] | None] = {
    "batch": _ROWS,
    "embed": "fsdp",
    "heads": "tensor",
    "kv_heads": "tensor",
    "mlp": "tensor",
    "vocab": "tensor",
    "tokens": None,
    "layers": None,
    "head_dim": None,
    # Where embeddings are looked up, D stays split and rows are whole (`model/constrain.py`).
    "lookup_batch": "data",
    "lookup_embed": "fsdp",
    None: None,
}


def make_mesh(config: MeshConfig, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Returns the mesh of these devices, or of all there are.

    Raises:
      UserError: the axes do not multiply to the number of devices, `tensor` spans processes, or
        `fsdp` spans slices.
    """
    devices = sorted(devices or jax.devices(), key=lambda d: (_slice(d), d.process_index, d.id))
    processes = [device.process_index for device in devices]
    assert processes == sorted(processes), "processes are numbered slice by slice"
    num_slices, num_processes = len({_slice(device) for device in devices}), len({*processes})
    devices_per_slice = len(devices) // num_slices
    if config == MeshConfig():
        config = mesh_rule(devices[0].device_kind, devices_per_slice=devices_per_slice)
    sizes = _axis_sizes(config, len(devices))
    if devices_per_slice % (sizes[1] * sizes[2]):
        raise UserError(
            f"config.execution.mesh: fsdp {sizes[1]} × tensor {sizes[2]} does not divide the "
            f"{devices_per_slice} devices of each of the {num_slices} slices; what is gathered in "
            f"every layer stays within a slice: make data a multiple of {num_slices}"
        )
    if len(devices) // num_processes % sizes[2]:
        raise UserError(
            f"config.execution.mesh.tensor is {sizes[2]}, but each process has "
            f"{len(devices) // num_processes} devices; tensor must divide them: what is split "
            "within a layer stays within a process"
        )
    return Mesh(np.array(devices).reshape(sizes), AXES, axis_types=(AxisType.Auto,) * len(AXES))


def _slice(device: jax.Device) -> int:
    """Returns which slice a device is of; where there is but one, devices do not say."""
    return getattr(device, "slice_index", 0)


def _axis_sizes(config: MeshConfig, num_devices: int) -> tuple[int, int, int]:
    given = (config.data, config.fsdp, config.tensor)
    sizes = [d if n is None else n for n, d in zip(given, (1, -1, 1), strict=True)]
    asked = "config.execution.mesh: data {} × fsdp {} × tensor {}".format(*sizes)
    if sizes.count(-1) > 1 or any(size < 1 and size != -1 for size in sizes):
        raise UserError(f"{asked}; expected numbers from 1, and -1 for at most one of them")
    known = math.prod(size for size in sizes if size != -1)
    if -1 in sizes and num_devices % known == 0:
        sizes[sizes.index(-1)] = num_devices // known
    elif -1 in sizes:
        raise UserError(
            f"{asked}: the {num_devices} devices do not divide by {known}; the sizes given must "
            f"multiply to one of {_divisors(num_devices)}"
        )
    elif known != num_devices:
        raise UserError(
            f"{asked} = {known} devices, but there are {num_devices}; make them multiply to "
            f"{num_devices}, or set one to -1 to take what is left"
        )
    return sizes[0], sizes[1], sizes[2]


def _divisors(number: int) -> str:
    return ", ".join(str(n) for n in range(1, number + 1) if number % n == 0)


def named_sharding(mesh: Mesh, names: tuple[str | None, ...]) -> NamedSharding:
    """Returns the sharding of an array whose dims have these logical names."""
    return NamedSharding(mesh, PartitionSpec(*(RULES[name] for name in names)))


def replicated(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of what every device holds whole."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of [B, T]: rows over data and fsdp."""
    return named_sharding(mesh, ("batch", "tokens"))


def num_row_shards(mesh: Mesh) -> int:
    """Returns into how many parts a batch is split; its number of rows must divide by it."""
    return math.prod(mesh.shape[axis] for axis in _ROWS)


def param_shardings(logical_axes: Any, abstract_params: Any, mesh: Mesh) -> Any:
    """Returns the sharding of every parameter, in the parameters' structure.

    logical_axes: a tuple of names, one per dim, in the place of each parameter.

    Raises:
      UserError: a dim does not divide by the size of its mesh axis.
    """

    def sharding(path: Any, leaf: jax.ShapeDtypeStruct, names: tuple) -> NamedSharding:
        for size, name in zip(leaf.shape, names, strict=True):
            axis = RULES[name]
            assert axis is None or isinstance(axis, str), f"{name} is no dim of a parameter"
            if axis is not None and size % mesh.shape[axis]:
                where = jax.tree_util.keystr(path, simple=True, separator="/")
                raise UserError(
                    f"parameter {where}: its dim {name!r} of size {size} does not divide by mesh "
                    f"axis {axis} = {mesh.shape[axis]}; make config.execution.mesh.{axis} a "
                    f"divisor of {size}"
                )
        return named_sharding(mesh, names)

    return jax.tree_util.tree_map_with_path(sharding, abstract_params, logical_axes)


class Constrain:
    """Tells the compiler how an activation is laid out, from the logical names of its dims."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh

    def __call__(self, x: jax.Array, names: tuple[str | None, ...]) -> jax.Array:
        return jax.lax.with_sharding_constraint(x, named_sharding(self.mesh, names))

    def on_each_device(
        self,
        function: Callable[..., jax.Array],
        *,
        inputs: tuple[tuple[str | None, ...], ...],
        output: tuple[str | None, ...],
    ) -> Callable[..., jax.Array]:
        """Returns `function` run by every device on its own part; no dim may be split unevenly."""
        return jax.shard_map(
            function,
            mesh=self.mesh,
            in_specs=tuple(named_sharding(self.mesh, names).spec for names in inputs),
            out_specs=named_sharding(self.mesh, output).spec,
            check_vma=False,  # kernels do not say how their outputs vary over the mesh
        )


def check_batch_size(batch_size: int, *, num_microbatches: int, mesh: Mesh) -> None:
    """Raises UserError unless every device gets equally many rows of every micro-batch."""
    parts = num_row_shards(mesh) * num_microbatches
    if batch_size % parts:
        fits = sorted({max(batch_size // parts, 1) * parts, (batch_size // parts + 1) * parts})
        raise UserError(
            f"config.training.batch_size is {batch_size}, which does not divide by mesh data "
            f"{mesh.shape['data']} × fsdp {mesh.shape['fsdp']} × num_microbatches "
            f"{num_microbatches} = {parts}; {' and '.join(map(str, fits))} would fit"
        )


def global_batch(local: Batch, mesh: Mesh) -> Batch:
    """Returns this process's rows as its part of the batch on the devices.

    local: numpy [B/P, T]; process p of P gives rows p·B/P … (p+1)·B/P - 1. The result is [B, T].
    """
    sharding = batch_sharding(mesh)
    return Batch(*(jax.make_array_from_process_local_data(sharding, x) for x in local))
