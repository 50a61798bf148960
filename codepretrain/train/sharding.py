"""The device mesh, and the sharding of arrays.

Devices are ordered by slice, then process, then number, with the last axis of `mesh_axes.AXES`
fastest. So slices differ only along `data`, hosts along `data` and `fsdp`, and process p holds the
p-th contiguous part of every batch, which the loader and the evaluators rely on. Therefore
`mesh_utils.create_device_mesh`, which may scatter a host's chips over the mesh, is not used.
Nothing is lost: TPU hosts are numbered along the torus, so every group of neighbors along an axis
is a box of chips in it (`tests/podplan/test_topology.py`).
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from codepretrain.config.schema import MeshConfig
from codepretrain.errors import UserError
from codepretrain.hardware.mesh_axes import (
    axes_of,
    axis_sizes,
    check_spans,
    num_parts,
    spell,
)
from codepretrain.hardware.mesh_rules import mesh_rule
from codepretrain.stream.batch import Batch


def make_mesh(
    config: MeshConfig,
    devices: Sequence[jax.Device] | None = None,
    *,
    d_model: int | None = None,
) -> Mesh:
    """Returns the mesh of these devices, or of all devices.

    d_model: the model's D, for the machine's own rule where the config gives no axis.

    Raises:
      UserError: the axes do not multiply to the number of devices, or an axis spans more than it
        may: `tensor` processes, `fsdp` slices.
    """
    devices = sorted(devices or jax.devices(), key=lambda d: (_slice(d), d.process_index, d.id))
    processes = [device.process_index for device in devices]
    assert processes == sorted(processes), "processes are numbered slice by slice"
    num_slices, num_processes = len({_slice(device) for device in devices}), len({*processes})
    devices_per_slice = len(devices) // num_slices
    if config == MeshConfig():
        config = mesh_rule(
            devices[0].device_kind, devices_per_slice=devices_per_slice, d_model=d_model
        )
    sizes = axis_sizes(config, len(devices))
    check_spans(sizes, num_slices=num_slices, num_processes=num_processes)
    shape = np.array(devices).reshape(tuple(sizes.values()))
    return Mesh(shape, tuple(sizes), axis_types=(AxisType.Auto,) * len(sizes))


def _slice(device: jax.Device) -> int:
    """Returns the index of the device's slice; where there is only one, devices have none."""
    return getattr(device, "slice_index", 0)


def named_sharding(mesh: Mesh, names: tuple[str | None, ...]) -> NamedSharding:
    """Returns the sharding of an array whose dims have these logical names."""
    return NamedSharding(mesh, PartitionSpec(*map(_entry, names)))


def _entry(dim: str | None) -> str | tuple[str, ...] | None:
    """Returns a dim's entry in a PartitionSpec."""
    axes = axes_of(dim)
    return axes if len(axes) > 1 else axes[0] if axes else None


def replicated(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of an array that every device holds whole."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of [B, T]: rows over data and fsdp."""
    return named_sharding(mesh, ("batch", "tokens"))


def num_row_shards(mesh: Mesh) -> int:
    """Returns the number of parts of a batch; its number of rows must be a multiple of it."""
    return num_parts("batch", mesh.shape)


def param_shardings(logical_axes: Any, abstract_params: Any, mesh: Mesh) -> Any:
    """Returns the sharding of every parameter, in the parameters' structure.

    logical_axes: a tuple of names, one per dim, in the place of each parameter.

    Raises:
      UserError: a dim is not divisible by the size of its mesh axis.
    """

    def sharding(path: Any, leaf: jax.ShapeDtypeStruct, names: tuple) -> NamedSharding:
        for size, name in zip(leaf.shape, names, strict=True):
            if size % num_parts(name, mesh.shape):
                where = jax.tree_util.keystr(path, simple=True, separator="/")
                axes = axes_of(name)
                raise UserError(
                    f"parameter {where}: dim {name!r} of size {size} is not divisible by mesh axis "
                    f"{spell(mesh.shape, axes)}; make "
                    f"config.execution.mesh.{' × '.join(axes)} a divisor of {size}"
                )
        return named_sharding(mesh, names)

    return jax.tree_util.tree_map_with_path(sharding, abstract_params, logical_axes)


class Constrain:
    """Constrains an activation's sharding by the logical names of its dims."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh

    def __call__(self, x: jax.Array, names: tuple[str | None, ...]) -> jax.Array:
        if self.mesh.size == 1:  # a constrained copy would be kept for the gradient beside x
            return x
        return jax.lax.with_sharding_constraint(x, named_sharding(self.mesh, names))

    def on_each_device(
        self,
        function: Callable[..., jax.Array],
        *,
        inputs: tuple[tuple[str | None, ...], ...],
        output: tuple[str | None, ...],
    ) -> Callable[..., jax.Array]:
        """Returns `function` run by every device on its own part; all parts must be equal."""
        return jax.shard_map(
            function,
            mesh=self.mesh,
            in_specs=tuple(named_sharding(self.mesh, names).spec for names in inputs),
            out_specs=named_sharding(self.mesh, output).spec,
            check_vma=False,  # kernels do not declare how their outputs vary over the mesh
        )


def check_batch_size(batch_size: int, *, num_microbatches: int, mesh: Mesh) -> None:
    """Raises UserError unless every device gets the same number of rows of every micro-batch."""
    parts = num_row_shards(mesh) * num_microbatches
    if batch_size % parts:
        fits = sorted({max(batch_size // parts, 1) * parts, (batch_size // parts + 1) * parts})
        raise UserError(
            f"config.training.batch_size: {batch_size:,} is not divisible by mesh "
            f"{spell(mesh.shape, axes_of('batch'))} × num_microbatches {num_microbatches} = "
            f"{parts:,}; {' or '.join(f'{size:,}' for size in fits)} would fit"
        )


def global_batch(local: Batch[np.ndarray], mesh: Mesh) -> Batch[jax.Array]:
    """Returns the batch on the devices, with this process's rows as its part.

    local: numpy [B/P, T]; process p of P provides rows p·B/P … (p+1)·B/P - 1. Returns [B, T].
    """
    return jax.make_array_from_process_local_data(batch_sharding(mesh), local)
