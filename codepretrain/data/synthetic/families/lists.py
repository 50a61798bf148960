"""Families about lists."""

import itertools
from collections import Counter
from random import Random

from codepretrain.data.synthetic.families.family import (
    NUMBER_LISTS,
    Draft,
    calls,
    code,
    int_lists,
    ints,
)


def window_extreme(rng: Random) -> Draft:
    values = rng.choice(NUMBER_LISTS)
    size, largest = rng.randint(2, 5), rng.random() < 0.5
    best = "max" if largest else "min"
    name = f"{rng.choice(('best', 'extreme', 'top'))}_window_of_{size}"
    solution = code(
        """
        def $f($values):
            if len($values) < $size:
                return None
            total = best = sum($values[:$size])
            for i in range($size, len($values)):
                total += $values[i] - $values[i - $size]
                best = $best(best, total)
            return best
        """,
        f=name,
        values=values,
        size=size,
        best=best,
    )

    def oracle(numbers: list[int]) -> int:
        sums = [sum(numbers[i : i + size]) for i in range(len(numbers) - size + 1)]
        return max(sums) if largest else min(sums)

    lists = [ints(rng, n) for n in (6, 8, 9, size)]
    tests = [f"{name}({x!r})" for x in lists]
    return Draft(
        signature=f"{name}({values})",
        task=f"returns the {'largest' if largest else 'smallest'} sum of {size} neighboring "
        f"numbers in the list `{values}`",
        notes=[f"With fewer than {size} numbers the result is `None`."],
        solution=solution,
        oracle=oracle,
        tests=tests,
        properties=[(f"{name}({ints(rng, size - 1)!r})", "result is None")],
        parameters={"size": size, "largest": largest},
        difficulty=3,
    )


def rotation(rng: Random) -> Draft:
    values, left = rng.choice(NUMBER_LISTS), rng.random() < 0.5
    name = rng.choice(("rotate", "turn", "cycle", "shift_around"))
    fixed = rng.choice((0, 0, 1, 2))
    slices = ("k", "k") if left else ("len(rest) - k", "len(rest) - k")
    solution = code(
        """
        def $f($values, k):
            head, rest = $values[:$fixed], $values[$fixed:]
            if not rest:
                return head
            k %= len(rest)
            return head + rest[$a:] + rest[:$b]
        """,
        f=name,
        values=values,
        fixed=fixed,
        a=slices[0],
        b=slices[1],
    )

    def oracle(numbers: list[int], k: int) -> list[int]:
        rest = numbers[fixed:]
        count = len(rest)
        sign = 1 if left else -1
        return numbers[:fixed] + [rest[(i + sign * k) % count] for i in range(count)]

    inputs = [(x, rng.randint(0, 12)) for x in int_lists(rng, 5)] + [([1, 2, 3, 4], -1)]
    return Draft(
        signature=f"{name}({values}, k)",
        task=f"returns a copy of the list `{values}` that is rotated `k` places to the "
        f"{'left' if left else 'right'}",
        notes=[
            "`k` may be negative or larger than the list.",
            *([f"The first {fixed} item{'s' * (fixed > 1)} stay where they are."] if fixed else []),
        ],
        solution=solution,
        oracle=oracle,
        tests=calls(name, inputs),
        properties=[(f"sorted({name}([5, 1, 4, 2], 3))", "result == [1, 2, 4, 5]")],
        parameters={"left": left, "fixed": fixed},
        difficulty=2,
    )


def deduplicate(rng: Random) -> Draft:
    values, last = rng.choice(NUMBER_LISTS), rng.random() < 0.5
    name = rng.choice(("unique", "without_repeats", "distinct_items", "drop_repeats"))
    limit = rng.randint(1, 3)
    walk, result = (f"reversed({values})", "kept[::-1]") if last else (values, "kept")
    solution = code(
        """
        def $f($values):
            seen = {}
            kept = []
            for x in $walk:
                seen[x] = seen.get(x, 0) + 1
                if seen[x] <= $limit:
                    kept.append(x)
            return $result
        """,
        f=name,
        values=values,
        walk=walk,
        limit=limit,
        result=result,
    )

    def oracle(numbers: list[int]) -> list[int]:
        places = range(len(numbers))
        others = (lambda i: numbers[i + 1 :]) if last else (lambda i: numbers[:i])
        return [numbers[i] for i in places if others(i).count(numbers[i]) < limit]

    which = ("last" if last else "first") + (f" {limit}" if limit > 1 else "")
    inputs = [(ints(rng, n, 0, 4),) for n in (6, 8, 10)] + [([],), ([7, 7, 7, 7, 7],)]
    return Draft(
        signature=f"{name}({values})",
        task=f"returns the items of the list `{values}` in their order, but of equal items only "
        f"the {which}",
        notes=["The given list is not changed."],
        solution=solution,
        oracle=oracle,
        tests=calls(name, inputs),
        parameters={"last": last, "limit": limit},
        difficulty=2,
    )


def pair_sums(rng: Random) -> Draft:
    values = rng.choice(NUMBER_LISTS)
    name = rng.choice(("count_pairs", "pairs_with_sum", "matching_pairs"))
    target, difference = rng.randint(3, 25), rng.random() < 0.4
    wanted = f"x - {target}, x + {target}" if difference else f"{target} - x"
    total = " + ".join(f"seen.get({w}, 0)" for w in wanted.split(", "))
    solution = code(
        """
        def $f($values):
            seen = {}
            pairs = 0
            for x in $values:
                pairs += $total
                seen[x] = seen.get(x, 0) + 1
            return pairs
        """,
        f=name,
        values=values,
        total=total,
    )

    def oracle(numbers: list[int]) -> int:
        pairs = itertools.combinations(numbers, 2)
        return sum((abs(a - b) if difference else a + b) == target for a, b in pairs)

    inputs = [(ints(rng, n, 0, 25),) for n in (6, 9, 12)]
    inputs += [([],), ([target, 0, target],), ([1, target + 1, target - 1, 1],)]
    return Draft(
        signature=f"{name}({values})",
        task=f"counts the pairs of positions i < j in the list `{values}` whose numbers "
        + (f"differ by {target}" if difference else f"add up to {target}"),
        notes=["Equal numbers at different positions are different pairs."],
        solution=solution,
        oracle=oracle,
        tests=calls(name, inputs),
        parameters={"target": target, "difference": difference},
        difficulty=3,
    )


def mode(rng: Random) -> Draft:
    values, smallest = rng.choice(NUMBER_LISTS), rng.random() < 0.5
    name = rng.choice(("most_frequent", "mode", "commonest"))
    modulus = rng.choice((None, 5, 10))
    key = "x" if modulus is None else f"x % {modulus}"
    solution = code(
        """
        def $f($values):
            found = {}
            for x in $values:
                found[$key] = found.get($key, 0) + 1
            most = max(found.values())
            return $best(x for x, count in found.items() if count == most)
        """,
        f=name,
        values=values,
        key=key,
        best="min" if smallest else "max",
    )

    def oracle(numbers: list[int]) -> int:
        if not numbers:
            raise ValueError
        counts = Counter(x % modulus if modulus else x for x in numbers)
        sign = 1 if smallest else -1
        return sorted(counts, key=lambda x: (-counts[x], sign * x))[0]

    what = "number" if modulus is None else f"remainder on division by {modulus}"
    return Draft(
        signature=f"{name}({values})",
        task=f"returns the most frequent {what} of the list `{values}`",
        notes=[
            f"Of several the {'smallest' if smallest else 'largest'} is returned.",
            "An empty list is a `ValueError`.",
        ],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [(ints(rng, n, 0, 14),) for n in (5, 8, 11)] + [([],), ([3],)]),
        parameters={"smallest": smallest, "modulus": modulus},
        difficulty=2,
    )


FAMILIES = (window_extreme, rotation, deduplicate, pair_sums, mode)
