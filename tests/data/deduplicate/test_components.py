import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from codepretrain.data.deduplicate.components import NODE, smallest_nodes
from codepretrain.data.deduplicate.external_sort import Sorter

MEMORY = 3 * 2 * NODE * 200  # 200 edges: sorts have several runs


def found(folder: Path, edges: list[tuple[int, int]]) -> tuple[dict[int, int], int]:
    sorter = Sorter(folder, "edges", width=2 * NODE, memory_bytes=MEMORY)
    for pair in edges:
        large, small = max(pair), min(pair)
        row = large.to_bytes(NODE, "big") + small.to_bytes(NODE, "big")
        sorter.add(np.frombuffer(row, np.uint8)[None])
    labels, num_rounds = smallest_nodes(sorter, folder, memory_bytes=MEMORY)
    rows = [bytes(row) for chunk in labels.merged() for row in chunk]
    pairs = [(int.from_bytes(r[:NODE], "big"), int.from_bytes(r[NODE:], "big")) for r in rows]
    assert len(dict(pairs)) == len(pairs), "one edge a node"
    return dict(pairs), num_rounds


def union_find(edges: list[tuple[int, int]]) -> dict[int, int]:
    """The same in memory, by another algorithm."""
    parent = {node: node for edge in edges for node in edge}

    def root(node: int) -> int:
        while parent[node] != node:
            node = parent[node]
        return node

    for edge in edges:
        low, high = sorted(map(root, edge))
        parent[high] = low
    return {node: root(node) for node in parent if root(node) != node}


@pytest.mark.parametrize("seed", range(3))
def test_random_graphs(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    nodes = [rng.getrandbits(64) for _ in range(300)]
    edges = [(rng.choice(nodes), rng.choice(nodes)) for _ in range([150, 300, 600][seed])]
    assert found(tmp_path, edges)[0] == union_find(edges)


def test_a_path_takes_few_rounds(tmp_path: Path) -> None:
    nodes = list(range(500))
    random.Random(0).shuffle(nodes)
    labels, num_rounds = found(tmp_path, list(pairwise(nodes)))
    assert labels == dict.fromkeys(range(1, 500), 0)
    assert num_rounds <= 10  # log2(500) = 9


def test_stars_and_nothing(tmp_path: Path) -> None:
    assert found(tmp_path, [(0, n) for n in range(1, 400)])[0] == dict.fromkeys(range(1, 400), 0)
    assert found(tmp_path, [(999, n) for n in range(5)])[0] == dict.fromkeys([1, 2, 3, 4, 999], 0)
    assert found(tmp_path, [])[0] == {}
