"""Connected components of a graph whose edges do not fit into memory.

Source: Kiveris et al. 2014, "Connected components in MapReduce and beyond": alternate the
large-star and small-star operations until nothing changes; then every node has one edge, to the
smallest node of its component. Each is one sort of the edges; the number of rounds grows with the
logarithm of the component's size.

A node is `NODE` bytes; an edge two nodes, the larger one first.
"""

import hashlib
from collections.abc import Iterator

import numpy as np

from codepretrain.data.deduplicate.external_sort import Sorter, as_keys, with_group_starts
from codepretrain.files.storage import StrPath

NODE = 8


def smallest_nodes(edges: Sorter, folder: StrPath, *, memory_bytes: int) -> tuple[Sorter, int]:
    """Returns edges from each node to the smallest one of its component, and the number of rounds.

    Smallest nodes have no edge in the result. The files of `edges` are removed.
    """
    before, num_rounds = _digest(edges), 0
    while True:
        num_rounds += 1
        both = Sorter(folder, f"both-{num_rounds}", width=2 * NODE, memory_bytes=memory_bytes)
        for chunk in edges.merged():
            both.add(chunk)
            both.add(np.concatenate((chunk[:, NODE:], chunk[:, :NODE]), 1))
        edges.remove()
        large = Sorter(folder, f"large-{num_rounds}", width=2 * NODE, memory_bytes=memory_bytes)
        for chunk in _large_star(both):
            large.add(chunk)
        both.remove()
        edges = Sorter(folder, f"small-{num_rounds}", width=2 * NODE, memory_bytes=memory_bytes)
        for chunk in _small_star(large):
            edges.add(chunk)
        large.remove()
        after = _digest(edges)
        if after == before:
            return edges, num_rounds
        before = after


def _large_star(both: Sorter) -> Iterator[np.ndarray]:
    """Connects the larger neighbors of each node to the smallest node next to it, or to itself."""
    for records, starts in with_group_starts(both.merged(), NODE):
        node, neighbor = records[:, :NODE], records[:, NODE:]
        smallest = _smaller(node, neighbor[starts])
        is_larger = as_keys(neighbor) > as_keys(node)
        yield np.concatenate((neighbor, smallest), 1)[is_larger]


def _small_star(large: Sorter) -> Iterator[np.ndarray]:
    """Connects each node and its smaller neighbors to the smallest of them."""
    for records, starts in with_group_starts(large.merged(), NODE):
        node, neighbor = records[:, :NODE], records[:, NODE:]
        smallest = neighbor[starts]
        yield np.concatenate((node, smallest), 1)
        is_other = as_keys(neighbor) != as_keys(smallest)
        yield np.concatenate((neighbor, smallest), 1)[is_other]


def _smaller(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.where((as_keys(first) < as_keys(second))[:, None], first, second)


def _digest(edges: Sorter) -> str:
    """Returns a hash of the set of edges, whatever the chunks."""
    digest = hashlib.sha256()
    for chunk in edges.merged():
        digest.update(chunk.tobytes())
    return digest.hexdigest()
