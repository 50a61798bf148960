"""Families about dynamic programming."""

import functools
import itertools
from random import Random

from codepretrain.data.synthetic.families.family import Draft, calls, code, ints, word_list


def _counts_of_coins(amount: int, values: list[int]) -> list[int]:
    """Returns the number of coins of every way to pay."""
    if not values:
        return [0] if amount == 0 else []
    *others, coin = values
    counts = range(amount // coin + 1)
    return [k + more for k in counts for more in _counts_of_coins(amount - k * coin, others)]


def coins(rng: Random) -> Draft:
    name = rng.choice(("make_change", "coin_change", "pay", "combine_weights"))
    values = sorted({rng.choice((1, 1, 2)), *rng.sample(range(2, 25), rng.randint(2, 4))})
    ways = rng.random() < 0.5
    if ways:
        solution = code(
            """
            def $f(amount):
                ways = [1] + [0] * amount
                for coin in $values:
                    for total in range(coin, amount + 1):
                        ways[total] += ways[total - coin]
                return ways[amount]
            """,
            f=name,
            values=values,
        )
    else:
        solution = code(
            """
            def $f(amount):
                best = [0]
                for total in range(1, amount + 1):
                    counts = [best[total - c] + 1 for c in $values if c <= total]
                    best.append(min(counts, default=float("inf")))
                return -1 if best[amount] == float("inf") else best[amount]
            """,
            f=name,
            values=values,
        )

    def oracle(amount: int) -> int:
        found = _counts_of_coins(amount, values)
        return len(found) if ways else min(found, default=-1)

    amounts = {0, 1, 3, *values, rng.randint(5, 20), rng.randint(21, 50)}
    amounts |= {values[-1] + values[-2], 2 * values[-1] + values[0]}
    goal = (
        "the number of ways to pay `amount`" if ways else "the least number of coins for `amount`"
    )
    return Draft(
        signature=f"{name}(amount)",
        task=f"returns {goal} with coins of {', '.join(map(str, values))}",
        notes=[
            "There are enough coins of each kind.",
            "The order of the coins does not matter."
            if ways
            else "If the amount cannot be paid, return -1.",
        ],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [(n,) for n in sorted(amounts)]),
        parameters={"values": values, "ways": ways},
        difficulty=3,
    )


def longest_chain(rng: Random) -> Draft:
    name = rng.choice(("longest_chain", "longest_run", "best_subsequence"))
    gap, strict = rng.randint(1, 5), rng.choice(("at least", "at most", "exactly"))
    condition = {"at least": ">= ", "at most": "<= ", "exactly": "== "}[strict]
    rising = rng.random() < 0.6
    difference = {True: "numbers[i] - numbers[j]", False: "numbers[j] - numbers[i]"}[rising]
    if strict == "at most":
        test = f"0 < {difference} {condition}{gap}"
    else:
        test = f"{difference} {condition}{gap}"
    solution = code(
        """
        def $f(numbers):
            best = []
            for i in range(len(numbers)):
                earlier = [best[j] for j in range(i) if $test]
                best.append(1 + max(earlier, default=0))
            return max(best, default=0)
        """,
        f=name,
        test=test,
    )

    def fits(a: int, b: int) -> bool:
        step = b - a if rising else a - b
        return {"at least": step >= gap, "at most": 0 < step <= gap, "exactly": step == gap}[strict]

    def oracle(numbers: list[int]) -> int:
        for size in range(len(numbers), 0, -1):
            for chosen in itertools.combinations(numbers, size):
                if all(fits(a, b) for a, b in itertools.pairwise(chosen)):
                    return size
        return 0

    direction = "larger" if rising else "smaller"
    steps = [0, gap, 1, 2 * gap, 2 * gap + 1, 3 * gap + 2]
    lists = [ints(rng, n, 0, 15) for n in (5, 7, 9)] + [[], [4], [3, 3]]
    lists += [steps, steps[::-1], [0, gap], [gap, 0], [0, gap + 1], [gap + 1, 0]]
    return Draft(
        signature=f"{name}(numbers)",
        task="returns the length of the longest subsequence of the list `numbers` in which every "
        f"number is {strict} {gap} {direction} than the one before it",
        notes=[
            "The numbers of a subsequence keep their order, but others may stand between them.",
            f"Each number must really be {direction}." if strict == "at most" else "",
        ],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [(numbers,) for numbers in lists]),
        parameters={"gap": gap, "strict": strict, "rising": rising},
        difficulty=4,
    )


def edit_cost(rng: Random) -> Draft:
    name = rng.choice(("edit_cost", "edit_distance", "cost_to_change", "rewrite_cost"))
    insert, delete, replace = (rng.randint(1, 4) for _ in range(3))
    solution = code(
        """
        def $f(source, target):
            row = [$insert * j for j in range(len(target) + 1)]
            for i, a in enumerate(source, start=1):
                previous, row = row, [$delete * i]
                for j, b in enumerate(target, start=1):
                    change = previous[j - 1] + (0 if a == b else $replace)
                    row.append(min(change, previous[j] + $delete, row[j - 1] + $insert))
            return row[-1]
        """,
        f=name,
        insert=insert,
        delete=delete,
        replace=replace,
    )

    def oracle(source: str, target: str) -> int:
        @functools.cache
        def cost(i: int, j: int) -> int:
            if i == len(source) or j == len(target):
                return insert * (len(target) - j) + delete * (len(source) - i)
            change = cost(i + 1, j + 1) + replace * (source[i] != target[j])
            return min(change, cost(i, j + 1) + insert, cost(i + 1, j) + delete)

        return cost(0, 0)

    pairs = [tuple(word_list(rng, 2)) for _ in range(3)]
    pairs += [("abcd", "acd"), ("acd", "abcd"), ("ab", "ba"), ("kitten", "sitting"), ("a", "xay")]
    return Draft(
        signature=f"{name}(source, target)",
        task="returns the least total cost of turning the string `source` into `target`",
        notes=[
            f"Inserting a character costs {insert}, deleting one costs {delete}, and replacing one "
            f"by another costs {replace}."
        ],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [*pairs, ("", "abc"), ("abc", ""), ("same", "same")]),
        parameters={"insert": insert, "delete": delete, "replace": replace},
        difficulty=4,
    )


def picked_sum(rng: Random) -> Draft:
    name = rng.choice(("best_pick", "largest_total", "maximum_gain", "pick_apart"))
    gap = rng.randint(1, 3)
    solution = code(
        """
        def $f(gains):
            best = [0] * ($gap + 1)
            for gain in gains:
                best.append(max(best[-1], best[-$back] + gain))
            return best[-1]
        """,
        f=name,
        gap=gap,
        back=gap + 1,
    )

    def oracle(gains: list[int]) -> int:
        best = 0
        for size in range(1, len(gains) + 1):
            for places in itertools.combinations(range(len(gains)), size):
                if all(b - a > gap for a, b in itertools.pairwise(places)):
                    best = max(best, sum(gains[i] for i in places))
        return best

    between = "one place" if gap == 1 else f"{gap} places"
    return Draft(
        signature=f"{name}(gains)",
        task="returns the largest sum of numbers picked from the list `gains`, where between two "
        f"picked numbers there must be at least {between}",
        notes=["Picking nothing gives 0.", "Numbers may be negative."],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [(ints(rng, n, -5, 20),) for n in (5, 7, 9)] + [([],), ([-3],), ([8],)])
        + calls(name, [([1, 9, 2, 8, 3, 7],), ([20, 4, 6, 15, 16, 16, 7, 11],)]),
        parameters={"gap": gap},
        difficulty=3,
    )


FAMILIES = (coins, longest_chain, edit_cost, picked_sum)
