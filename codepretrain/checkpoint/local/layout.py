"""Which part of the state each process holds, and which processes hold the same.

    mesh data 2 × fsdp 4, two devices a process     part   holders
    process 0   rows 0, 1 of replica 0              0      0, 2
    process 1   rows 2, 3 of replica 0              1      1, 3
    process 2   rows 0, 1 of replica 1              0
    process 3   rows 2, 3 of replica 1              1

A part is named by the first process that holds it. Where a part has a single holder, as with fsdp
alone, each process also keeps the part of the process before it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import jax
import numpy as np

from codepretrain.files.hashing import sha256_json
from codepretrain.hardware.mesh_axes import spell

Index = tuple[tuple[int, int], ...]  # of a shard in its array: start and stop in each dim


def _process_of(device: jax.Device) -> int:
    return device.process_index


class Layout:
    """The layout of a state over processes. All shards of an array have the same shape."""

    def __init__(
        self, abstract_state: Any, *, process_of: Callable[[jax.Device], int] = _process_of
    ) -> None:
        """abstract_state: shape, dtype and sharding of every leaf, all on one mesh."""
        paths = jax.tree_util.tree_leaves_with_path(abstract_state)
        self.leaves: Sequence[Any] = [leaf for _, leaf in paths]
        self.mesh = self.leaves[0].sharding.mesh
        self.structure = jax.tree.structure(abstract_state)
        self._names = [jax.tree_util.keystr(p, simple=True, separator="/") for p, _ in paths]
        positions: dict[int, list[int]] = {}
        for position, device in enumerate(self.mesh.devices.flat):
            positions.setdefault(process_of(device), []).append(position)
        assert sorted(positions) == list(range(len(positions))), sorted(positions)
        assert len({len(own) for own in positions.values()}) == 1, positions
        self._positions = positions

    @property
    def num_processes(self) -> int:
        return len(self._positions)

    def positions(self, process: int) -> Sequence[int]:
        """Returns the places of a process's devices in `mesh.devices.flat`, in that order."""
        return self._positions[process]

    def devices(self, process: int) -> list[jax.Device]:
        return [self.mesh.devices.flat[position] for position in self.positions(process)]

    @cached_property
    def parts(self) -> Sequence[int]:
        """The part that each process holds."""
        first: dict[Any, int] = {}
        held = []
        for process, positions in sorted(self._positions.items()):
            content = tuple(tuple(leaf[p] for p in positions) for leaf in self._indices)
            held.append(first.setdefault(content, process))
        return held

    @property
    def needs_peers(self) -> bool:
        """Whether a part would be lost with a single process, of several."""
        return self.num_processes > 1 and any(self.parts.count(part) == 1 for part in self.parts)

    def kept_parts(self, process: int) -> list[int]:
        """Returns the parts of which a process keeps a copy: its own one first."""
        if not self.needs_peers:
            return [self.parts[process]]
        return [self.parts[process], self.parts[(process - 1) % self.num_processes]]

    def pairs_to_next(self) -> tuple[tuple[int, int], ...]:
        """Returns each device's place, and that of the device that keeps a copy of its shards."""
        moves = [(p, (p + 1) % self.num_processes) for p in range(self.num_processes)]
        return self.pairs(moves)

    def pairs(self, moves: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
        """Returns the places of devices, given processes that send and receive."""
        return tuple(
            pair
            for sender, receiver in moves
            for pair in zip(self.positions(sender), self.positions(receiver), strict=True)
        )

    def slots(self, leaf: int, part: int) -> list[int]:
        """Returns which of the part's distinct shards of a leaf each device holds."""
        indices = [self._indices[leaf][position] for position in self.positions(part)]
        distinct = list(dict.fromkeys(indices))
        return [distinct.index(index) for index in indices]

    def shard_shape(self, leaf: int) -> tuple[int, ...]:
        return self.leaves[leaf].sharding.shard_shape(self.leaves[leaf].shape)

    def shard_bytes(self, leaf: int) -> int:
        return (
            int(np.prod(self.shard_shape(leaf), dtype=np.int64)) * self.leaves[leaf].dtype.itemsize
        )

    def ranges(self, part: int) -> Iterator[tuple[int, list[tuple[int, int]]]]:
        """Yields each leaf, with the range of bytes of each of its distinct shards in the file."""
        start = 0
        for leaf in range(len(self.leaves)):
            size, number = self.shard_bytes(leaf), max(self.slots(leaf, part)) + 1
            yield leaf, [(start + i * size, start + (i + 1) * size) for i in range(number)]
            start += number * size

    def num_bytes(self, part: int) -> int:
        """Returns the size of a part's file."""
        *_, (_, last) = self.ranges(part)
        return last[-1][1]

    def describe(self) -> str:
        """Returns mesh and processes in words."""
        processes = f"{self.num_processes} process{'es' if self.num_processes > 1 else ''}"
        return f"mesh {spell(self.mesh.shape)} of {processes}"

    @cached_property
    def digest(self) -> str:
        """A hash of everything that the bytes of the parts depend on, but the values."""
        leaves: list[Mapping[str, Any]] = [
            {
                "name": name,
                "shape": list(leaf.shape),
                "dtype": str(leaf.dtype),
                "spec": [list(np.atleast_1d(entry or ())) for entry in leaf.sharding.spec],
            }
            for name, leaf in zip(self._names, self.leaves, strict=True)
        ]
        mesh = [[name, size] for name, size in self.mesh.shape.items()]
        return sha256_json({"mesh": mesh, "processes": self.num_processes, "leaves": leaves})

    @cached_property
    def _indices(self) -> list[list[Index]]:
        """The index of every device's shard of every leaf."""
        found = []
        for leaf in self.leaves:
            where = leaf.sharding.devices_indices_map(leaf.shape)
            found.append([_index(where[d], leaf.shape) for d in self.mesh.devices.flat])
        return found


def _index(slices: tuple[slice, ...], shape: tuple[int, ...]) -> Index:
    return tuple(one.indices(size)[:2] for one, size in zip(slices, shape, strict=True))
