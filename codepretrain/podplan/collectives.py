"""The collectives of a compiled program: kind, mesh axes, and bytes sent.

    collective            sent by each chip of a group of n, for an operand of b bytes
    all-gather            b · (n - 1)          its part, passed around the ring
    reduce-scatter        b · (n - 1) / n
    all-reduce            2 · b · (n - 1) / n  a reduce-scatter, then an all-gather
    all-to-all            b · (n - 1) / n
    collective-permute    b

Where a group spans s slices with k chips in each, a collective within each slice comes first: the
table applies with n = k. Then each chip sends its part (1/k of it for sums) to the other slices
over the data-center network: the table applies with n = s.

The TPU compiler splits such collectives itself. The part between slices is a `send` of the
megascale runtime that names its collective; it is counted for s slices.

These are the minimum for a ring or a torus. The compiler may send more: if a gathered part is
smaller than its tiles (D / fsdp < 16, for example) it gathers by an all-reduce of the whole array,
and that all-reduce is reported here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from codepretrain.podplan.hlo import Computation, Instruction, Program

KINDS = ("all-gather", "reduce-scatter", "all-reduce", "all-to-all", "collective-permute")

_GROUPS = re.compile(
    r"replica_groups=(\{\{.*?\}\}|\{\}|\[[^\]]*\]<=\[[^\]]*\](?:T\([\d,]*\))?"
    r"|mesh\[.*?\](?:, device_ids=\(.*?\)\))?(?:, device_ids=\([^{]*\))? \{.*?\})"
)
_IOTA = re.compile(r"\[([\d,]*)\]<=\[([\d,]*)\](?:T\(([\d,]*)\))?")
_MESH = re.compile(r"mesh\[(.*?)\](?:, device_ids=\((.*?)\))? \{(.*)\}$")
_DEVICES = re.compile(r"\[([\d,]*)\](?:T\(([\d,]*)\))?")


@dataclass(frozen=True)
class Collective:
    """One collective of a step.

    axes: the mesh axes along which the chips of a group differ. operand_bytes: of one execution.
    sent_bytes, dcn_bytes: sent by one chip in all executions, within a slice and to other slices.
    dtype, dims: of the last result.
    """

    kind: str
    axes: tuple[str, ...]
    group_size: int
    executions: int
    operand_bytes: int
    sent_bytes: float
    dcn_bytes: float
    dtype: str
    dims: tuple[int, ...]
    source: str


def collectives(
    program: Program, mesh_shape: Mapping[str, int], *, num_slices: int = 1
) -> list[Collective]:
    """Returns every collective that a step runs.

    mesh_shape: sizes of the mesh axes, slowest first; the program's devices are numbered along it.
    """
    found, chains = [], set()
    for instruction, computation, times in program.walk():
        outermost = next(iter(mesh_shape))  # slices differ only along it
        if transfer := _between_slices(instruction, times, axis=outermost, num_slices=num_slices):
            found.append(transfer)
        kind = instruction.opcode.removesuffix("-start")
        if kind not in KINDS:
            continue
        if chain := _chain(instruction, computation):
            # One gather that overlaps with several products appears in each of their fusions.
            if chain in chains:
                continue
            chains.add(chain)
        if kind == "all-reduce" and _keeps_a_slice(program, instruction, computation):
            kind = "reduce-scatter"
        found.append(
            _collective(kind, instruction, computation, times, mesh_shape, num_slices=num_slices)
        )
    return found


def _between_slices(
    instruction: Instruction, times: int, *, axis: str, num_slices: int
) -> Collective | None:
    """Returns the collective along `axis` that a send of the megascale runtime implements."""
    named = re.search(r'_xla_megascale_transfer_type="(\w+)"', instruction.attributes)
    if instruction.opcode != "send" or named is None:
        return None
    kind = named[1].lower().replace("_", "-")
    sent = instruction.shapes[0]
    return Collective(
        kind=kind if kind in KINDS else "collective-permute",
        axes=(axis,),
        group_size=num_slices,
        executions=times,
        operand_bytes=sent.bytes,
        sent_bytes=0.0,
        dcn_bytes=times * _sent(kind, sent.bytes, num_slices),
        dtype=sent.dtype,
        dims=sent.dims,
        source=_source(instruction),
    )


def _chain(instruction: Instruction, computation: Computation) -> tuple[str | None, str] | None:
    found = re.search(r"chain_id=\"?(\d+)", instruction.attributes)
    return (instruction.attribute("channel_id"), found[1]) if found else None


def _keeps_a_slice(program: Program, instruction: Instruction, computation: Computation) -> bool:
    """Returns whether a fusion returns only this chip's part of an all-reduce: a reduce-scatter."""
    is_fused = any(
        i.opcode in ("fusion", "async-start") and computation.name in i.called
        for c in program.computations.values()
        for i in c.instructions.values()
    )
    return is_fused and computation.root.bytes < instruction.bytes


def _collective(
    kind: str,
    instruction: Instruction,
    computation: Computation,
    times: int,
    mesh_shape: Mapping[str, int],
    *,
    num_slices: int,
) -> Collective:
    operand_bytes = sum(o.bytes for o in computation.operands(instruction))
    num_chips = int(np.prod(list(mesh_shape.values())))
    groups = _device_groups(instruction, num_chips)
    chips_per_slice = num_chips // num_slices
    # Pairs of a permute are groups of two; every chip sends once.
    size = groups.shape[1]
    across = len(np.unique(groups[0] // chips_per_slice))
    within = max(size // across, 1)
    sums = kind in ("all-reduce", "reduce-scatter")
    outward = operand_bytes / within if sums else operand_bytes
    result = instruction.shapes[-1]
    return Collective(
        kind=kind,
        axes=_axes(groups, mesh_shape),
        group_size=size,
        executions=times,
        operand_bytes=operand_bytes,
        sent_bytes=times * _sent(kind, operand_bytes, within) if size > 1 else 0.0,
        dcn_bytes=times * _sent(kind, outward, across) if across > 1 else 0.0,
        dtype=result.dtype,
        dims=result.dims,
        source=_source(instruction),
    )


def _sent(kind: str, operand_bytes: float, size: int) -> float:
    if size == 1:
        return 0.0
    if kind == "all-gather":
        return operand_bytes * (size - 1)
    if kind in ("reduce-scatter", "all-reduce", "all-to-all"):
        return operand_bytes * (size - 1) / size * (2 if kind == "all-reduce" else 1)
    return operand_bytes


def _axes(groups: np.ndarray, mesh_shape: Mapping[str, int]) -> tuple[str, ...]:
    """Returns the axes along which positions differ within a group."""
    positions = np.unravel_index(groups, tuple(mesh_shape.values()))
    return tuple(
        axis
        for axis, position in zip(mesh_shape, positions, strict=True)
        if (position != position[:, :1]).any()
    )


def _source(instruction: Instruction) -> str:
    found = re.search(r'op_name="([^"]*)"', instruction.attributes)
    return found[1] if found else instruction.name


def _device_groups(instruction: Instruction, num_chips: int) -> np.ndarray:
    """Returns [groups, chips of each] positions in the mesh, flattened."""
    if pairs := re.search(r"source_target_pairs=\{(\{.*?\})\}", instruction.attributes):
        return np.array([_integers(pair) for pair in re.findall(r"\{([\d,]*)\}", pairs[1])])
    found = _GROUPS.search(instruction.attributes)
    assert found, f"{instruction.name}: no replica_groups in {instruction.attributes:.300}"
    return parse_groups(found[1], num_chips)


def parse_groups(text: str, num_chips: int) -> np.ndarray:
    """Returns [groups, chips of each] from any of HLO's notations for replica groups.

    {{0,1},{2,3}}                                               listed
    [2,4]<=[4,2]T(1,0)                                          iota, reshaped and transposed
    mesh['a'=2,'b'=4], device_ids=([4,2]T(1,0)) {'b'}           axes of a mesh, perhaps in parts:
    mesh['a'=8] {'a':(2)4}                                      size 4, major to it 2
    """
    if text == "{}":
        return np.arange(num_chips)[None]
    if text.startswith("{"):
        return np.array([_integers(group) for group in re.findall(r"\{([\d,]+)\}", text)])
    if iota := _IOTA.fullmatch(text):
        return _iota(iota[2], iota[3]).reshape(_integers(iota[1]))
    mesh = _MESH.fullmatch(text)
    if mesh is None:
        raise ValueError(f"unknown notation for replica groups: {text}")
    sizes = {name: int(size) for name, size in re.findall(r"'([^']*)'=(\d+)", mesh[1])}
    devices = np.arange(int(np.prod(list(sizes.values()))))
    if mesh[2]:
        order = _DEVICES.search(mesh[2])
        assert order, text
        devices = _iota(order[1], order[2])
    return _groups_along(devices, sizes, mesh[3])


def _groups_along(devices: np.ndarray, sizes: Mapping[str, int], axes: str) -> np.ndarray:
    """Returns the groups along axes of a mesh; an axis may be taken in part, "'a':(2)4"."""
    chosen = re.findall(r"'([^']*)'(?::\((\d+)\)(\d+))?", axes)
    dims: list[int] = []
    grouped: list[int] = []
    for name, size in sizes.items():
        parts = [(int(pre), int(part)) for axis, pre, part in chosen if axis == name and part]
        is_whole = any(axis == name and not part for axis, _, part in chosen)
        done = 1
        for before, part in sorted(parts):
            dims += [before // done, part]
            grouped.append(len(dims) - 1)
            done = before * part
        dims.append(size // done)
        if is_whole:
            grouped.append(len(dims) - 1)
    others = [i for i in range(len(dims)) if i not in grouped]
    group_size = int(np.prod([dims[i] for i in grouped]))
    return devices.reshape(dims).transpose(others + grouped).reshape(-1, group_size)


def _iota(dims: str, order: str | None) -> np.ndarray:
    shape = _integers(dims)
    numbers = np.arange(int(np.prod(shape))).reshape(shape)
    return numbers.transpose(_integers(order)).reshape(-1) if order else numbers.reshape(-1)


def _integers(text: str) -> list[int]:
    return [int(number) for number in text.strip("{}").split(",")]
