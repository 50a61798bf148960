"""Which meshes, micro-batches and remat policies fit a pod: tried by compiling, one by one.

For a mesh the candidates form a grid, and needing memory grows to the right and upwards:

    micro-batches  full   save_attention   none        a candidate that does not fit rules out
         1          5           6            7         all to its right and above it
         2          1           2            3         (the numbers: the order of trying)

`offload` keeps in the host's memory what `full` keeps on the chip: tried where `full` fails.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from codepretrain.config.schema import MeshConfig, StudyConfig
from codepretrain.hardware.mesh_rules import mesh_rule
from codepretrain.podplan.topology import Topology

_BY_MEMORY = ("offload", "full", "save_attention", "none")  # and by recomputation, reversed


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One way to execute the step. The mesh has no -1."""

    mesh: MeshConfig
    num_microbatches: int
    remat_policy: str

    def overrides(self) -> list[str]:
        """Returns the command line's flags that choose it."""
        fields = {
            "mesh.data": self.mesh.data,
            "mesh.fsdp": self.mesh.fsdp,
            "mesh.tensor": self.mesh.tensor,
            "num_microbatches": self.num_microbatches,
            "remat_policy": self.remat_policy,
        }
        return [f"--config.execution.{name}={value}" for name, value in fields.items()]

    def spell(self) -> dict[str, Any]:
        """Returns what a plan's entries say of its settings."""
        mesh = {"data": self.mesh.data, "fsdp": self.mesh.fsdp, "tensor": self.mesh.tensor}
        return {
            "mesh": mesh,
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


def meshes(config: StudyConfig, topology: Topology) -> list[MeshConfig]:
    """Returns the configured mesh (or the machine's rule), and what lies around it."""
    chips, per_slice = topology.num_chips, topology.chips_per_slice
    rule = mesh_rule(topology.chip.device_kinds[0], devices_per_slice=per_slice)
    first = _sizes(config.execution.mesh, chips) or _sizes(rule, chips)
    assert first is not None
    fsdp = first.fsdp or 1
    around = [
        first,
        *(
            _sizes(MeshConfig(data=-1, fsdp=size, tensor=tensor), chips)
            for size, tensor in ((fsdp // 2, 1), (2 * fsdp, 1), (fsdp, 2), (per_slice, 1))
        ),
    ]
    seen: list[MeshConfig] = []
    for mesh in around:
        if mesh and mesh not in seen and _divides(mesh, config, per_slice):
            seen.append(mesh)
    return seen


def candidates(config: StudyConfig, topology: Topology) -> list[Candidate]:
    """Returns everything worth trying, in the order of trying."""
    found = []
    for mesh in meshes(config, topology):
        rows = config.training.batch_size // ((mesh.data or 1) * (mesh.fsdp or 1))
        for number in reversed([n for n in range(1, rows + 1) if rows % n == 0]):
            policies = ("full", "save_attention", "none", *(["offload"] * (number == rows)))
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
    """Yields the plan of every candidate that is tried, as soon as it is known.

    attempt: compiles a candidate; the result's "fits" says whether it fits.
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
    """Returns what fits by its bound, then what does not by what is missing."""
    fitting = sorted((p for p in plans if p.get("fits")), key=lambda p: p["bound_s"]["step"])
    others = [p for p in plans if not p.get("fits")]
    return fitting + sorted(others, key=lambda p: p.get("memory", {}).get("missing", float("inf")))


def _sizes(mesh: MeshConfig, chips: int) -> MeshConfig | None:
    """Returns the mesh with every size filled in; None where nothing is given or none fits."""
    if mesh == MeshConfig():
        return None
    given = (mesh.data, mesh.fsdp, mesh.tensor)
    data, fsdp, tensor = (d if n is None else n for n, d in zip(given, (1, -1, 1), strict=True))
    rest = chips // max(1, abs(data * fsdp * tensor))
    data, fsdp, tensor = (rest if n == -1 else n for n in (data, fsdp, tensor))
    fits = min(data, fsdp, tensor) >= 1 and data * fsdp * tensor == chips
    return MeshConfig(data=data, fsdp=fsdp, tensor=tensor) if fits else None


def _divides(mesh: MeshConfig, config: StudyConfig, per_slice: int) -> bool:
    data, fsdp, tensor = mesh.data or 1, mesh.fsdp or 1, mesh.tensor or 1
    model = config.model
    return not (
        config.training.batch_size % (data * fsdp)
        or per_slice % (fsdp * tensor)
        or model.d_model % fsdp
        or any(n % tensor for n in (model.num_kv_heads, model.d_ff, model.vocab_size))
    )
