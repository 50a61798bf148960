"""Finds meshes, micro-batches and remat policies that fit a pod, by compiling them one by one.

The candidates of a mesh form a grid in which the memory needed grows to the right and upwards:

    micro-batches  full  save_attention  save_products  none    a candidate that does not fit rules
         1          5          6               7          8     out all to its right and above it
         2          1          2               3          4     (the numbers: the order of trying)

`offload` keeps in the host's memory what `full` keeps on the chip, and is tried where `full` fails.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from codepretrain.config.schema import MeshConfig, StudyConfig
from codepretrain.errors import UserError
from codepretrain.hardware.mesh_axes import AXES, axis_sizes, inner_axes, num_parts, product
from codepretrain.hardware.mesh_rules import mesh_rule
from codepretrain.podplan.topology import Topology

_BY_MEMORY = (
    "offload",
    "full",
    "save_attention",
    "save_products",
    "none",
)  # and by recomputation, reversed


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One way to execute the step. The mesh has a size for every axis and no -1."""

    mesh: MeshConfig
    num_microbatches: int
    remat_policy: str

    def overrides(self) -> list[str]:
        """Returns the command line's flags that choose it."""
        fields = {
            **{f"mesh.{axis}": size for axis, size in sizes_of(self.mesh).items()},
            "num_microbatches": self.num_microbatches,
            "remat_policy": self.remat_policy,
        }
        return [f"--config.execution.{name}={value}" for name, value in fields.items()]

    def spell(self) -> dict[str, Any]:
        """Returns its settings as they appear in a plan."""
        return {
            "mesh": sizes_of(self.mesh),
            "num_microbatches": self.num_microbatches,
            "remat_policy": self.remat_policy,
        }

    def needs_no_less_than(self, other: "Candidate") -> bool:
        """Whether it fits only if the other does."""
        policies = _BY_MEMORY.index(self.remat_policy), _BY_MEMORY.index(other.remat_policy)
        return (
            self.mesh == other.mesh
            and policies[0] >= policies[1]
            and self.num_microbatches <= other.num_microbatches
        )


def sizes_of(mesh: MeshConfig) -> dict[str, int]:
    """Returns the sizes of a mesh that has one for every axis."""
    return dataclasses.asdict(mesh)


def meshes(config: StudyConfig, topology: Topology) -> list[MeshConfig]:
    """Returns the configured mesh (or that of the machine's rule), and variants of it.

    The variants: each axis within a slice halved and doubled, and the one that takes the
    remaining devices by default spread over a whole slice.
    """
    chips, per_slice = topology.num_chips, topology.chips_per_slice
    rule = mesh_rule(
        topology.chip.device_kinds[0],
        devices_per_slice=per_slice,
        d_model=config.model.d_model,
    )
    first = _filled(config.execution.mesh, chips) or _filled(rule, chips)
    assert first is not None
    inner, outermost = inner_axes("slice"), next(iter(AXES))
    sizes = {axis: size for axis, size in sizes_of(first).items() if axis in inner}
    spread = {axis: per_slice if AXES[axis].default == -1 else 1 for axis in inner}
    around = [{axis: sizes[axis] // 2} for axis in inner] + [
        {axis: 2 * sizes[axis]} for axis in inner
    ]
    wanted = [MeshConfig(**{**sizes, **change, outermost: -1}) for change in (*around, spread)]
    seen: list[MeshConfig] = []
    for mesh in (first, *(_filled(mesh, chips) for mesh in wanted)):
        if mesh and mesh not in seen and _divides(mesh, config, per_slice):
            seen.append(mesh)
    return seen


def candidates(config: StudyConfig, topology: Topology) -> list[Candidate]:
    """Returns every candidate worth trying, in the order of trying."""
    found = []
    for mesh in meshes(config, topology):
        rows = config.training.batch_size // num_parts("batch", sizes_of(mesh))
        for number in reversed([n for n in range(1, rows + 1) if rows % n == 0]):
            policies = (*_BY_MEMORY[1:], *(["offload"] * (number == rows)))
            found += [
                Candidate(mesh=mesh, num_microbatches=number, remat_policy=policy)
                for policy in policies
            ]
    return found


def search(
    wanted: Sequence[Candidate],
    attempt: Callable[[Candidate], dict[str, Any]],
    *,
    max_compiles: int,
) -> Iterator[dict[str, Any]]:
    """Yields the plan of every candidate that is tried, as soon as it is done.

    attempt: compiles a candidate and returns its plan, whose "fits" tells whether it fits.
    """
    failed: list[Candidate] = []
    fitting: list[Candidate] = []
    for candidate in wanted:
        if max_compiles <= 0:
            return
        if any(candidate.needs_no_less_than(other) for other in failed):
            continue
        if candidate.remat_policy == "offload" and any(f.mesh == candidate.mesh for f in fitting):
            continue
        max_compiles -= 1
        plan = attempt(candidate)
        (fitting if plan.get("fits") else failed).append(candidate)
        yield {**candidate.spell(), **plan}


def ranked(plans: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the plans that fit, by their bound, then the others, by the memory they lack."""
    fitting = sorted((p for p in plans if p.get("fits")), key=lambda p: p["bound_s"]["step"])
    others = [p for p in plans if not p.get("fits")]
    return fitting + sorted(others, key=lambda p: p.get("memory", {}).get("missing", float("inf")))


def _filled(mesh: MeshConfig, chips: int) -> MeshConfig | None:
    """Returns the mesh with a size for every axis; None where none is given or they do not fit."""
    if mesh == MeshConfig():
        return None
    try:
        return MeshConfig(**axis_sizes(mesh, chips))
    except UserError:
        return None


def _divides(mesh: MeshConfig, config: StudyConfig, per_slice: int) -> bool:
    sizes, model = sizes_of(mesh), config.model
    dims = {
        "batch": config.training.batch_size,
        "embed": model.d_model,
        "heads": model.num_heads,
        "kv_heads": model.num_kv_heads,
        "mlp": model.d_ff,
        "vocab": model.vocab_size,
    }
    return per_slice % product(sizes, inner_axes("slice")) == 0 and all(
        size % num_parts(dim, sizes) == 0 for dim, size in dims.items()
    )
