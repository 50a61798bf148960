"""Restores a state from the disks of the hosts."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from codepretrain.checkpoint.local.exchange import Gathered, Shards
from codepretrain.checkpoint.local.files import Copy
from codepretrain.checkpoint.local.layout import Layout
from codepretrain.checkpoint.local.plan import rounds, sources
from codepretrain.errors import UserError
from codepretrain.hosts import gather
from codepretrain.progress_pipe import PROGRESS


class LocalRestore:
    """The restore of one state. Every process must make the same calls.

    Args:
      copies: those of this state that this process sees.
      tell: prints a line, on one process.

    Attributes:
      ledger: that of the state, once it is restored.
    """

    def __init__(
        self,
        layout: Layout,
        copies: Sequence[Copy],
        *,
        step: int,
        tell: Callable[[str], None],
    ) -> None:
        self._layout, self._copies, self._step, self._tell = layout, list(copies), step, tell
        self._contents: dict[int, bytes] = {}
        self._ledger: Any = None

    @property
    def ledger(self) -> Any:
        return self._ledger

    def state(self) -> Any:
        """Returns the state, None if a part has no copy that is whole."""
        held = gather("the local copies", lambda: sorted({copy.part for copy in self._copies}))
        while True:
            holders = _holders(held)
            chosen = sources(holders, self._layout.parts)
            if chosen is None:
                return None
            process = jax.process_index()
            needed = {self._layout.parts[to] for to, by in enumerate(chosen) if by == process}
            read = functools.partial(self._read, needed)
            reports = gather("the local copies that are read", read)
            damaged = [line for one in reports for line in one["damaged"]]
            for line in dict.fromkeys(damaged):
                self._tell(f"damaged local checkpoint of step {self._step:,}: {line}")
            if not damaged:
                break
            held = [one["held"] for one in reports]
        ledgers = [one["ledger"] for one in reports if one["ledger"] is not None]
        self._ledger = ledgers[0]  # all are the same: the digest of the state covers them
        moves = rounds(chosen)
        return Gathered(self._layout, jax.process_index(), moves, self._shards).state()

    def _read(self, parts: set[int]) -> dict[str, Any]:
        """Reads parts into memory; reports what is damaged, and the parts that it still has."""
        damaged = []
        for part in sorted(parts - self._contents.keys()):
            for copy in [copy for copy in self._copies if copy.part == part]:
                try:
                    self._contents[part] = self._checked(copy)
                    PROGRESS.count()
                    break
                except UserError as error:
                    damaged.append(str(error))
                    self._copies.remove(copy)
        ledger = self._copies[0].ledger if self._copies else None
        held = sorted({copy.part for copy in self._copies})
        return {"damaged": damaged, "held": held, "ledger": ledger}

    def _checked(self, copy: Copy) -> bytes:
        content = copy.read()
        expected = self._layout.num_bytes(copy.part)
        if len(content) != expected:
            raise UserError(f"{copy.path}: expected {expected:,} bytes, found {len(content):,}")
        return content

    def _shards(self, part: int, number: int) -> Shards:
        """Returns the distinct shards of a leaf of a part that was read."""
        layout = self._layout
        shape, dtype = layout.shard_shape(number), layout.leaves[number].dtype
        content = memoryview(self._contents[part])
        ranges = dict(layout.ranges(part))[number]
        return [np.frombuffer(content[a:b], dtype).reshape(shape) for a, b in ranges]


def _holders(held: Sequence[Sequence[int]]) -> Mapping[int, set[int]]:
    found: dict[int, set[int]] = {}
    for process, parts in enumerate(held):
        for part in parts:
            found.setdefault(part, set()).add(process)
    return found
