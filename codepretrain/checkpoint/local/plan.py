"""Decides what is restored, and which process sends what to which. Plain numbers in and out."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

Key = tuple[int, str]  # step, and the digest of what else identifies the copies of one state


def restorable(held: Sequence[Collection[tuple[int, str, int]]], parts: Sequence[int]) -> list[Key]:
    """Returns the states of which every part is somewhere, newest first.

    Args:
      held: step, digest and part of each copy, of each process.
      parts: the part that each process needs.
    """
    found: dict[Key, set[int]] = {}
    for step, digest, part in {copy for copies in held for copy in copies}:
        found.setdefault((step, digest), set()).add(part)
    return sorted((key for key, some in found.items() if some >= {*parts}), reverse=True)


def sources(holders: Mapping[int, Collection[int]], parts: Sequence[int]) -> list[int] | None:
    """Returns the process from whose disk each process gets its part: if it can, its own.

    None if a part has no holder.

    Args:
      holders: the processes that hold each part.
      parts: the part that each process needs.
    """
    found: list[int] = []
    loads: Counter[int] = Counter()
    for process, part in enumerate(parts):
        there = holders.get(part, ())
        if not there:
            return None
        chosen = process if process in there else min(there, key=lambda p: (loads[p], p))
        loads[chosen] += chosen != process
        found.append(chosen)
    return found


def rounds(chosen: Sequence[int]) -> list[list[tuple[int, int]]]:
    """Returns (sender, receiver) pairs in rounds, in each of which a process sends at most once."""
    found: list[list[tuple[int, int]]] = []
    sent: Counter[int] = Counter()
    for receiver, sender in enumerate(chosen):
        if sender != receiver:
            if sent[sender] == len(found):
                found.append([])
            found[sent[sender]].append((sender, receiver))
            sent[sender] += 1
    return found
