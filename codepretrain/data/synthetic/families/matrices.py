"""Families about matrices, given as lists of rows."""

from random import Random

from codepretrain.data.synthetic.families.family import Draft, calls, code, ints

Matrix = list[list[int]]


def _matrix(rng: Random, rows: int, columns: int, high: int = 9) -> Matrix:
    return [ints(rng, columns, 0, high) for _ in range(rows)]


def turned(rng: Random) -> Draft:
    name = rng.choice(("turn", "reorient", "rotate_matrix", "move_picture"))
    kinds = {
        "turned by 90 degrees clockwise": "[list(row) for row in zip(*matrix[::-1])]",
        "turned by 90 degrees counterclockwise": "[list(row) for row in zip(*matrix)][::-1]",
        "turned by 180 degrees": "[row[::-1] for row in matrix[::-1]]",
        "mirrored left to right": "[row[::-1] for row in matrix]",
        "mirrored top to bottom": "matrix[::-1]",
        "transposed": "[list(row) for row in zip(*matrix)]",
    }
    first, second = rng.choices(list(kinds), k=2)
    add = rng.choice((0, 0, 1, 10))
    last = f"[[x + {add} for x in row] for row in matrix]" if add else "matrix"
    solution = code(
        """
        def $f(matrix):
            matrix = $first
            matrix = $second
            return $last
        """,
        f=name,
        first=kinds[first],
        second=kinds[second],
        last=last,
    )

    def move(cells: dict[tuple[int, int], int], kind: str) -> dict[tuple[int, int], int]:
        bottom = max((r for r, _ in cells), default=0)
        right = max((c for _, c in cells), default=0)
        places = {
            "turned by 90 degrees clockwise": lambda r, c: (c, bottom - r),
            "turned by 90 degrees counterclockwise": lambda r, c: (right - c, r),
            "turned by 180 degrees": lambda r, c: (bottom - r, right - c),
            "mirrored left to right": lambda r, c: (r, right - c),
            "mirrored top to bottom": lambda r, c: (bottom - r, c),
            "transposed": lambda r, c: (c, r),
        }
        return {places[kind](r, c): x for (r, c), x in cells.items()}

    def oracle(matrix: Matrix) -> Matrix:
        cells = {(r, c): x + add for r, row in enumerate(matrix) for c, x in enumerate(row)}
        cells = move(move(cells, first), second)
        rows = 1 + max(r for r, _ in cells)
        columns = 1 + max(c for _, c in cells)
        return [[cells[r, c] for c in range(columns)] for r in range(rows)]

    shapes = [(2, 3), (3, 3), (1, 4), (4, 1), (3, 2), (1, 1)]
    return Draft(
        signature=f"{name}(matrix)",
        task=f"returns the matrix first {first} and then {second}",
        notes=[
            "`matrix` is a non-empty list of rows of equal length. It is not changed.",
            f"Finally {add} is added to every number." if add else "",
        ],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [(_matrix(rng, *shape),) for shape in shapes]),
        parameters={"kinds": [first, second], "add": add},
        difficulty=2,
    )


def spiral(rng: Random) -> Draft:
    name = rng.choice(("spiral", "snail", "unroll", "spiral_order"))
    clockwise, inward = rng.random() < 0.5, rng.random() < 0.6
    solution = code(
        """
        def $f(matrix):
            rows = [list(row) for row in matrix]
            order = []
            while rows:
                order += rows.pop(0)$edge
                rows = $turn
            return $result
        """,
        f=name,
        edge="" if clockwise else "[::-1]",
        turn="[list(row) for row in zip(*rows)][::-1]"
        if clockwise
        else "[list(row) for row in zip(*rows[::-1])]",
        result="order" if inward else "order[::-1]",
    )

    def oracle(matrix: Matrix) -> list[int]:
        height, width = len(matrix), len(matrix[0]) if matrix else 0
        row, column, dr, dc, seen, order = (
            0,
            0 if clockwise else width - 1,
            0,
            1,
            set[tuple[int, int]](),
            list[int](),
        )
        if not clockwise:
            dc = -1
        while len(seen) < height * width:
            seen.add((row, column))
            order.append(matrix[row][column])
            r, c = row + dr, column + dc
            if not (0 <= r < height and 0 <= c < width) or (r, c) in seen:
                dr, dc = (dc, -dr) if clockwise else (-dc, dr)
            row, column = row + dr, column + dc
        return order if inward else order[::-1]

    corner = "top left" if clockwise else "top right"
    shapes = [(3, 3), (2, 4), (4, 3), (1, 5), (3, 1), (1, 1)]
    return Draft(
        signature=f"{name}(matrix)",
        task=f"lists the numbers of `matrix` along a spiral that starts at the {corner} corner and "
        f"winds inward {'clockwise' if clockwise else 'counterclockwise'}",
        notes=[
            "`matrix` is a list of rows of equal length. An empty matrix gives an empty list.",
            "" if inward else "Return them in reverse: from the inner end of the spiral.",
        ],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [(_matrix(rng, *shape),) for shape in shapes] + [([],)]),
        parameters={"clockwise": clockwise, "inward": inward},
        difficulty=4,
    )


def matrix_power(rng: Random) -> Draft:
    name = rng.choice(("matrix_power", "power_of_matrix", "raise_matrix"))
    modulus = rng.choice((7, 10, 97, 1000, 10**9 + 7))
    minplus = rng.random() < 0.3
    entry = (
        "min(a[i][k] + b[k][j] for k in range(n))"
        if minplus
        else f"sum(a[i][k] * b[k][j] for k in range(n)) % {modulus}"
    )
    solution = code(
        """
        def $f(matrix, exponent):
            n = len(matrix)

            def multiply(a, b):
                return [[$entry for j in range(n)] for i in range(n)]

            result = matrix
            for bit in bin(exponent)[3:]:
                result = multiply(result, result)
                if bit == "1":
                    result = multiply(result, matrix)
            return $last
        """,
        f=name,
        entry=entry,
        last="result" if minplus else f"[[x % {modulus} for x in row] for row in result]",
    )

    def oracle(matrix: Matrix, exponent: int) -> Matrix:
        result, indices = matrix, range(len(matrix))
        for _ in range(exponent - 1):
            columns = list(zip(*matrix, strict=True))
            pairs = [[list(zip(row, column, strict=True)) for column in columns] for row in result]
            if minplus:
                result = [[min(map(sum, cell)) for cell in row] for row in pairs]
            else:
                result = [[sum(x * y for x, y in cell) for cell in row] for row in pairs]
        return [
            [result[i][j] if minplus else result[i][j] % modulus for j in indices] for i in indices
        ]

    product = (
        "In this product, sums take the place of products and the minimum takes that of the sum."
        if minplus
        else f"All numbers of the result are taken modulo {modulus}."
    )
    inputs = [(_matrix(rng, n, n), e) for n, e in ((2, 2), (2, 5), (3, 3), (1, 7), (3, 1), (2, 11))]
    return Draft(
        signature=f"{name}(matrix, exponent)",
        task="multiplies a square matrix with itself: `exponent` factors in all",
        notes=[product, "`exponent` is at least 1."],
        solution=solution,
        oracle=oracle,
        tests=calls(name, inputs),
        parameters={"modulus": None if minplus else modulus, "minplus": minplus},
        difficulty=4,
    )


FAMILIES = (turned, spiral, matrix_power)
