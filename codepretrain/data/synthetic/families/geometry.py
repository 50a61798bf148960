"""Families about geometry with whole numbers."""

import itertools
import math
from fractions import Fraction
from random import Random

from codepretrain.data.synthetic.families.family import Draft, calls, code, ints

Point = tuple[int, int]


def _points(rng: Random, size: int, high: int = 12) -> list[Point]:
    return [(rng.randint(-4, high), rng.randint(-4, high)) for _ in range(size)]


def closest_pair(rng: Random) -> Draft:
    name = rng.choice(("closest_pair", "nearest_points", "smallest_gap", "farthest_pair"))
    farthest = name == "farthest_pair"
    metric, expression = rng.choice(
        (
            ("the sum of the distances along both axes", "abs(a - c) + abs(b - d)"),
            ("the larger of the distances along both axes", "max(abs(a - c), abs(b - d))"),
            ("the square of the usual distance", "(a - c) ** 2 + (b - d) ** 2"),
            ("the distance along x plus twice that along y", "abs(a - c) + 2 * abs(b - d)"),
        )
    )
    solution = code(
        """
        import itertools


        def $f(points):
            distances = [
                $expression for (a, b), (c, d) in itertools.combinations(points, 2)
            ]
            return $best(distances, default=-1)
        """,
        f=name,
        expression=expression,
        best="max" if farthest else "min",
    )

    def oracle(points: list[Point]) -> int:
        best = -1
        for i, p in enumerate(points):
            for q in points[:i]:
                x, y = sorted((p[0], q[0])), sorted((p[1], q[1]))
                dx, dy = x[1] - x[0], y[1] - y[0]
                size = {
                    "the sum": dx + dy,
                    "the lar": dx if dx > dy else dy,
                    "the squ": dx * dx + dy * dy,
                    "the dis": dx + dy + dy,
                }[metric[:7]]
                if best < 0 or (size > best if farthest else size < best):
                    best = size
        return best

    return Draft(
        signature=f"{name}(points)",
        task=f"returns the {'largest' if farthest else 'smallest'} distance of two of the "
        "`points`, which are pairs of whole numbers",
        notes=[f"The distance of two points is {metric}.", "With fewer than two points return -1."],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [(_points(rng, n),) for n in (2, 4, 6, 8)] + [([],), ([(1, 1)],)]),
        parameters={"metric": metric, "farthest": farthest},
        difficulty=2,
    )


def _star(rng: Random, size: int) -> list[Point]:
    """Corners around (0, 0) in order of their angle."""
    angles = sorted(rng.sample(range(24), size))
    sizes = ints(rng, size, 4, 12)
    points = [
        (round(s * math.cos(a * math.pi / 12)), round(s * math.sin(a * math.pi / 12)))
        for a, s in zip(angles, sizes, strict=True)
    ]
    return points[:: rng.choice((1, -1))]


def polygon(rng: Random) -> Draft:
    name = rng.choice(("doubled_area", "polygon_area", "signed_area", "orientation"))
    signed, factor = name in ("signed_area", "orientation"), rng.choice((1, 2))
    if name == "orientation":
        words = rng.choice((("counterclockwise", "clockwise"), ("left", "right"), (1, -1)))
        result, factor = f"{words[0]!r} if total > 0 else {words[1]!r}", 2
    else:
        value = "total" if signed else "abs(total)"
        result = value if factor == 2 else f"{value} / 2"
    solution = code(
        """
        def $f(corners):
            total = 0
            for i, (x, y) in enumerate(corners):
                next_x, next_y = corners[(i + 1) % len(corners)]
                total += x * next_y - next_x * y
            return $result
        """,
        f=name,
        result=result,
    )

    def oracle(corners: list[Point]) -> object:
        """Sums trapezoids instead of cross products."""
        total = Fraction(0)
        for (x, y), (u, v) in itertools.pairwise([*corners, corners[0]]):
            total += Fraction((x - u) * (y + v), 2)
        if name == "orientation":
            return words[0] if total > 0 else words[1]
        total = total if signed else abs(total)
        return int(total * 2) if factor == 2 else float(total)

    shapes = [_star(rng, n) for n in (4, 5, 6)] + [
        [(0, 0), (4, 0), (4, 3)],
        [(0, 0), (0, 2), (2, 0)],
    ]
    shapes = [s for s in shapes if name != "orientation" or _cross(s)]
    what = {
        "orientation": "tells in which direction the corners run around a polygon",
        "signed_area": "returns the signed area of a polygon, positive if the corners run "
        "counterclockwise",
    }.get(name, "returns the area of a polygon")
    notes = ["`corners` is a list of pairs (x, y) of whole numbers, in order around the polygon."]
    if name == "orientation":
        notes.append(f"Return {words[0]!r} for counterclockwise and {words[1]!r} for clockwise.")
    elif factor == 2:
        notes.append("Return twice the area, which is a whole number.")
    return Draft(
        signature=f"{name}(corners)",
        task=what,
        notes=notes,
        solution=solution,
        oracle=oracle,
        tests=calls(name, [(shape,) for shape in shapes]),
        parameters={"name": name, "factor": factor, "result": result},
        difficulty=3,
    )


def _cross(corners: list[Point]) -> int:
    pairs = itertools.pairwise([*corners, corners[0]])
    return sum(x * v - u * y for (x, y), (u, v) in pairs)


def box_overlap(rng: Random) -> Draft:
    name = rng.choice(("overlap", "shared_area", "union_area", "covered_area"))
    union = name in ("union_area", "covered_area")
    sizes = rng.random() < 0.5
    far = ("a[0] + a[2]", "b[0] + b[2]", "a[1] + a[3]", "b[1] + b[3]")
    corners = ("a[2]", "b[2]", "a[3]", "b[3]")
    right_a, right_b, top_a, top_b = far if sizes else corners
    area_a = "a[2] * a[3]" if sizes else "(a[2] - a[0]) * (a[3] - a[1])"
    solution = code(
        """
        def $f(a, b):
            width = min($right_a, $right_b) - max(a[0], b[0])
            height = min($top_a, $top_b) - max(a[1], b[1])
            shared = max(width, 0) * max(height, 0)
            return $result
        """,
        f=name,
        right_a=right_a,
        right_b=right_b,
        top_a=top_a,
        top_b=top_b,
        result=f"{area_a} + {area_a.replace('a[', 'b[')} - shared" if union else "shared",
    )

    def cells(box: tuple[int, ...]) -> set[Point]:
        x, y, w, h = box if sizes else (box[0], box[1], box[2] - box[0], box[3] - box[1])
        return set(itertools.product(range(x, x + w), range(y, y + h)))

    def oracle(a: tuple[int, ...], b: tuple[int, ...]) -> int:
        return len(cells(a) | cells(b) if union else cells(a) & cells(b))

    def box() -> tuple[int, ...]:
        x, y, w, h = (*ints(rng, 2, -3, 6), *ints(rng, 2, 1, 8))
        return (x, y, w, h) if sizes else (x, y, x + w, y + h)

    shape = "(x, y, width, height)" if sizes else "(left, bottom, right, top)"
    # A box, and others within it, across it, beside and above it, touching it, and at its corner.
    places = (
        *((2, -3, 6, 4), (3, -2, 2, 2), (4, -4, 2, 7), (10, -2, 2, 2)),
        *((3, 3, 3, 2), (8, -3, 2, 4), (0, -4, 4, 3), (1, -1, 9, 1)),
    )
    first, *others = [(x, y, w, h) if sizes else (x, y, x + w, y + h) for x, y, w, h in places]
    inputs = [(box(), box()) for _ in range(3)] + [(first, other) for other in others]
    return Draft(
        signature=f"{name}(a, b)",
        task="returns the area that "
        + ("at least one of the" if union else "both of the")
        + " rectangles `a` and `b` cover",
        notes=[f"A rectangle is a tuple {shape} of whole numbers; its sides are along the axes."],
        solution=solution,
        oracle=oracle,
        tests=calls(name, inputs),
        parameters={"union": union, "sizes": sizes},
        difficulty=2,
    )


FAMILIES = (closest_pair, polygon, box_overlap)
