"""Families about graphs and grids."""

import functools
import itertools
from random import Random

from codepretrain.data.synthetic.families.family import Draft, calls, code

Edges = list[tuple[int, int]]


def _edges(rng: Random, num_nodes: int, num_edges: int) -> Edges:
    pairs = list(itertools.permutations(range(num_nodes), 2))
    return rng.sample(pairs, min(num_edges, len(pairs)))


_MOVES: tuple[tuple[str, Edges], ...] = (
    ("one cell up, down, left or right", [(0, 1), (1, 0), (0, -1), (-1, 0)]),
    ("one cell right or down", [(0, 1), (1, 0)]),
    (
        "one cell in any of the eight directions",
        [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if a or b],
    ),
    ("one cell down, or two cells to the right", [(1, 0), (0, 2)]),
    (
        "like a knight in chess",
        [(a * x, b * y) for x, y in ((1, 2), (2, 1)) for a in (-1, 1) for b in (-1, 1)],
    ),
)


# Ways that lead up and to the left as well, and one that only a step over the border would find.
_DETOURS = (
    [".#...", ".#.#.", "...#."],
    [".....", "####.", ".....", ".####", "....."],
    ["....", "####", "####", "...."],
)


def _least_moves(grid: list[str], wall: str, moves: Edges) -> int:
    """Sets of cells, one for each number of moves."""
    free = {(r, c) for r, row in enumerate(grid) for c, x in enumerate(row) if x != wall}
    goal = (len(grid) - 1, len(grid[0]) - 1)
    reached, front, steps = {(0, 0)}, {(0, 0)}, 0
    while front:
        if goal in front:
            return steps
        front = {(r + a, c + b) for r, c in front for a, b in moves} & free - reached
        reached |= front
        steps += 1
    return -1


def _grid(rng: Random, wall: str, rows: int, columns: int) -> list[str]:
    cells = [["." if rng.random() < 0.75 else wall for _ in range(columns)] for _ in range(rows)]
    cells[0][0] = cells[-1][-1] = "."
    return ["".join(row) for row in cells]


def grid_path(rng: Random) -> Draft:
    name = rng.choice(("shortest_path", "fewest_steps", "grid_distance", "steps_to_corner"))
    wall = rng.choice("#X*@")
    moves = rng.choice(_MOVES)
    solution = code(
        """
        from collections import deque


        def $f(grid):
            goal = (len(grid) - 1, len(grid[0]) - 1)
            distance = {(0, 0): 0}
            queue = deque([(0, 0)])
            while queue:
                row, column = queue.popleft()
                if (row, column) == goal:
                    return distance[goal]
                for dr, dc in $moves:
                    cell = (row + dr, column + dc)
                    if cell in distance:
                        continue
                    if not (0 <= cell[0] < len(grid) and 0 <= cell[1] < len(grid[0])):
                        continue
                    if grid[cell[0]][cell[1]] != "$wall":
                        distance[cell] = distance[row, column] + 1
                        queue.append(cell)
            return -1
        """,
        f=name,
        moves=moves[1],
        wall=wall,
    )

    shapes = ((3, 3), (4, 5), (5, 5), (2, 6), (6, 4), (1, 1), (7, 6))
    return Draft(
        signature=f"{name}(grid)",
        task="returns the least number of moves from the top left to the bottom right cell of "
        "`grid`, or -1 if there is no way",
        notes=[
            f"`grid` is a list of strings; {wall!r} is a wall, '.' is free.",
            f"A move goes {moves[0]}, and may jump over walls but not end on one.",
        ],
        solution=solution,
        oracle=lambda grid: _least_moves(grid, wall, moves[1]),
        tests=calls(name, [(_grid(rng, wall, *shape),) for shape in shapes])
        + calls(name, [([row.replace("#", wall) for row in grid],) for grid in _DETOURS]),
        parameters={"wall": wall, "moves": moves[0]},
        difficulty=4,
    )


def components(rng: Random) -> Draft:
    name = rng.choice(("components", "count_groups", "clusters", "connected_parts"))
    minimum, largest = rng.randint(1, 3), rng.random() < 0.4
    result = (
        "max(sizes, default=0)"
        if largest
        else ("len(sizes)" if minimum == 1 else f"sum(size >= {minimum} for size in sizes)")
    )
    solution = code(
        """
        def $f(num_nodes, edges):
            parent = list(range(num_nodes))

            def find(x):
                while parent[x] != x:
                    parent[x] = parent[parent[x]]
                    x = parent[x]
                return x

            for a, b in edges:
                parent[find(a)] = find(b)
            counts = {}
            for x in range(num_nodes):
                counts[find(x)] = counts.get(find(x), 0) + 1
            sizes = list(counts.values())
            return $result
        """,
        f=name,
        result=result,
    )

    def oracle(num_nodes: int, edges: Edges) -> int:
        groups = [{x} for x in range(num_nodes)]
        for a, b in edges:
            touched = [g for g in groups if a in g or b in g]
            groups = [g for g in groups if g not in touched] + [set().union(*touched)]
        sizes = [len(g) for g in groups]
        return max(sizes, default=0) if largest else sum(size >= minimum for size in sizes)

    what = (
        "returns the number of nodes in the largest connected component"
        if largest
        else "counts the connected components"
        + (f" with at least {minimum} nodes" if minimum > 1 else "")
    )
    inputs = [(n, _edges(rng, n, m)) for n, m in ((5, 3), (7, 4), (9, 6), (6, 8))]
    return Draft(
        signature=f"{name}(num_nodes, edges)",
        task=f"{what} of an undirected graph",
        notes=["The nodes are 0 to num_nodes - 1; `edges` is a list of pairs of nodes."],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [*inputs, (0, []), (4, []), (2, [(0, 1), (1, 0)])]),
        parameters={"minimum": None if largest else minimum, "largest": largest},
        difficulty=3,
    )


def _order(num_tasks: int, rules: Edges, *, largest: bool, raises: bool) -> list[int]:
    """Looks through all rules for every place of the order."""
    order: list[int] = []
    while len(order) < num_tasks:
        left = [t for t in range(num_tasks) if t not in order]
        free = [t for t in left if all(a in order for a, b in rules if b == t)]
        if not free:
            if raises:
                raise ValueError
            return []
        order.append(max(free) if largest else min(free))
    return order


def build_order(rng: Random) -> Draft:
    name = rng.choice(("build_order", "schedule", "arrange", "topological_order"))
    largest, raises = rng.random() < 0.5, rng.random() < 0.5
    sign = "-" if largest else ""
    solution = code(
        """
        import heapq


        def $f(num_tasks, rules):
            waiting = [0] * num_tasks
            after = [[] for _ in range(num_tasks)]
            for first, second in rules:
                after[first].append(second)
                waiting[second] += 1
            ready = [${s}task for task in range(num_tasks) if waiting[task] == 0]
            heapq.heapify(ready)
            order = []
            while ready:
                task = ${s}heapq.heappop(ready)
                order.append(task)
                for other in after[task]:
                    waiting[other] -= 1
                    if waiting[other] == 0:
                        heapq.heappush(ready, ${s}other)
            if len(order) < num_tasks:
                $cycle
            return order
        """,
        f=name,
        s=sign,
        cycle='raise ValueError("cycle")' if raises else "return []",
    )

    acyclic = [[tuple(sorted(edge)) for edge in _edges(rng, n, m)] for n, m in ((4, 3), (6, 5))]
    renamed = [(5 - a, 5 - b) for a, b in acyclic[1]]
    inputs = [(4, acyclic[0]), (6, acyclic[1]), (6, renamed), (3, [(0, 1), (1, 2), (2, 0)])]
    return Draft(
        signature=f"{name}(num_tasks, rules)",
        task="returns an order of the tasks 0 to num_tasks - 1 in which for every pair (a, b) in "
        "`rules` task a comes before task b",
        notes=[
            f"Wherever several tasks are possible the {'largest' if largest else 'smallest'} "
            "number comes first.",
            "If the rules contradict each other, "
            + ("raise a `ValueError`." if raises else "return an empty list."),
        ],
        solution=solution,
        oracle=functools.partial(_order, largest=largest, raises=raises),
        tests=calls(name, [*inputs, (0, []), (3, []), (2, [(1, 0)])]),
        parameters={"largest": largest, "raises": raises},
        difficulty=4,
    )


FAMILIES = (grid_path, components, build_order)
