"""Families about recursion."""

import itertools
from random import Random
from typing import Any

from codepretrain.data.synthetic.families.family import Draft, calls, code, ints


def _nested(rng: Random, depth: int) -> list[Any]:
    return [
        _nested(rng, depth - 1) if depth and rng.random() < 0.45 else rng.randint(0, 20)
        for _ in range(rng.randint(0, 4))
    ]


def nested_sum(rng: Random) -> Draft:
    name = rng.choice(("nested_sum", "weighted_depth", "deep_total", "fold_tree"))
    factor, kind = rng.randint(1, 5), rng.choice(("multiplied by", "plus"))
    weight = f"* {factor}" if kind == "multiplied by" else f"+ {factor}"
    solution = code(
        """
        def $f(items, depth=0):
            total = 0
            for item in items:
                if isinstance(item, list):
                    total += $f(item, depth + 1)
                else:
                    total += item * (depth $weight)
            return total
        """,
        f=name,
        weight=weight,
    )

    def oracle(items: list[Any]) -> int:
        total, stack = 0, [(item, 0) for item in items]
        while stack:
            item, depth = stack.pop()
            if isinstance(item, list):
                stack += [(child, depth + 1) for child in item]
            else:
                total += item * (depth * factor if kind == "multiplied by" else depth + factor)
        return total

    return Draft(
        signature=f"{name}(items, depth=0)",
        task="adds up the numbers in the nested list `items`, each times its weight: its depth "
        f"{kind} {factor}",
        notes=["The items of the outermost list have depth 0, those of its lists 1, and so on."],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [(_nested(rng, d),) for d in (1, 2, 3, 4)] + [([],), ([[[3]], 2],)]),
        parameters={"factor": factor, "kind": kind},
        difficulty=3,
    )


def flatten(rng: Random) -> Draft:
    name = rng.choice(("flatten", "unnest", "spread"))
    levels = rng.choice((1, 2, 3))
    solution = code(
        """
        def $f(items, levels=$levels):
            flat = []
            for item in items:
                if isinstance(item, list) and levels > 0:
                    flat.extend($f(item, levels - 1))
                else:
                    flat.append(item)
            return flat
        """,
        f=name,
        levels=levels,
    )

    def oracle(items: list[Any], depth: int = levels) -> list[Any]:
        for _ in range(depth):
            items = list(
                itertools.chain.from_iterable(x if isinstance(x, list) else [x] for x in items)
            )
        return items

    inputs: list[tuple[Any, ...]] = [(_nested(rng, depth),) for depth in (2, 3, 4)]
    deep = [1, [2, [3, [4, [5]]]]]
    inputs += [([[1], [[2]]], 1), (deep,), (deep, 2), (deep, levels + 1)]
    return Draft(
        signature=f"{name}(items, levels={levels})",
        task=f"removes up to `levels` levels of nesting from the list `items`, {levels} by default",
        notes=["The order of the items is kept.", "With `levels=0` nothing is removed."],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [*inputs, ([[1], [[2]]], 0), (_nested(rng, 3), 5), ([],)]),
        parameters={"levels": levels},
        difficulty=2,
    )


def bounded_words(rng: Random) -> Draft:
    name = rng.choice(("all_words", "spellings", "strings_without_runs"))
    letters, run = "".join(rng.sample("abcdxyz", rng.randint(2, 3))), rng.randint(1, 2)
    solution = code(
        """
        def $f(length):
            if length == 0:
                return [""]
            words = []
            for word in $f(length - 1):
                for letter in $letters:
                    if not word.endswith(letter * $run):
                        words.append(word + letter)
            return words
        """,
        f=name,
        letters=repr("".join(sorted(letters))),
        run=run,
    )

    def oracle(length: int) -> list[str]:
        words = map("".join, itertools.product(sorted(letters), repeat=length))
        return [w for w in words if not any(c * (run + 1) in w for c in letters)]

    return Draft(
        signature=f"{name}(length)",
        task=f"lists all strings of the given length over the letters {', '.join(sorted(letters))} "
        f"in which no letter occurs more than {run} time{'s' * (run > 1)} in a row",
        notes=["The list is in alphabetical order."],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [(n,) for n in range(5)]),
        properties=[(f"len(set({name}(5)))", f"result == {len(oracle(5))}")],
        parameters={"letters": letters, "run": run},
        difficulty=3,
    )


def subset_count(rng: Random) -> Draft:
    name = rng.choice(("count_subsets", "ways_to_reach", "subset_sums"))
    size, exact = rng.randint(2, 4), rng.random() < 0.5
    solution = code(
        """
        def $f(numbers, target):
            def count(i, rest, taken):
                if i == len(numbers):
                    return int(rest == 0 and taken $compare $size)
                return count(i + 1, rest, taken) + count(i + 1, rest - numbers[i], taken + 1)

            return count(0, target, 0)
        """,
        f=name,
        size=size,
        compare="==" if exact else "<=",
    )

    def oracle(numbers: list[int], target: int) -> int:
        sizes = [size] if exact else range(size + 1)
        chosen = (c for n in sizes for c in itertools.combinations(numbers, n))
        return sum(sum(c) == target for c in chosen)

    inputs = [(ints(rng, n, 0, 9), rng.randint(4, 20)) for n in (5, 7, 8)]
    return Draft(
        signature=f"{name}(numbers, target)",
        task=f"counts the ways to choose {'exactly' if exact else 'at most'} {size} positions of "
        "the list `numbers` so that the numbers there add up to `target`",
        notes=["Choosing nothing has the sum 0."],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [*inputs, ([], 0), ([5], 5), ([0, 0, 0, 0], 0)]),
        parameters={"size": size, "exact": exact},
        difficulty=3,
    )


def recurrence(rng: Random) -> Draft:
    name = rng.choice(("term", "sequence_term", "nth", "recurrence"))
    order = rng.randint(2, 3)
    first, factors = ints(rng, order, 0, 9), ints(rng, order, 1, 4)
    modulus = rng.choice((None, 10, 1000, 997))
    end = f" % {modulus}" if modulus else ""
    terms = [f"{c} * {name}(n - {k})" for k, c in enumerate(factors, start=1)]
    expression = " + ".join(terms)
    solution = code(
        """
        import functools


        @functools.lru_cache(maxsize=None)
        def $f(n):
            if n < $order:
                return $first[n]
            return $value
        """,
        f=name,
        order=order,
        first=first,
        value=f"({expression}){end}" if end else expression,
    )

    def oracle(n: int) -> int:
        values = list(first)
        while len(values) <= n:
            new = sum(c * values[-k] for k, c in enumerate(factors, start=1))
            values.append(new % modulus if modulus else new)
        return values[n]

    formula = " + ".join(f"{c}·a(n-{k})" for k, c in enumerate(factors, start=1))
    starts = ", ".join(f"a({i}) = {x}" for i, x in enumerate(first))
    return Draft(
        signature=f"{name}(n)",
        task=f"returns a(n) for {starts} and a(n) = "
        + (f"({formula}) mod {modulus}" if modulus else formula),
        notes=["`n` is a whole number, 0 or larger."],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [(n,) for n in (0, 1, 2, 3, 5, rng.randint(8, 25))]),
        parameters={"first": first, "factors": factors, "modulus": modulus},
        difficulty=2,
    )


FAMILIES = (nested_sum, flatten, bounded_words, subset_count, recurrence)
