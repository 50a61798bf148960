"""Families about whole numbers."""

import functools
import math
from random import Random

from codepretrain.data.synthetic.families.family import NUMBER_LISTS, Draft, calls, code, ints


def orbit(rng: Random) -> Draft:
    name = rng.choice(("orbit_length", "steps_to_repeat", "sequence_length", "first_repeat"))
    a, b, m = rng.randint(2, 30), rng.randint(1, 60), rng.randint(20, 400)
    power = rng.randint(1, 2)
    x = "x" if power == 1 else "x * x"
    solution = code(
        """
        def $f(x):
            seen = set()
            x %= $m
            while x not in seen:
                seen.add(x)
                x = ($a * $x + $b) % $m
            return len(seen)
        """,
        f=name,
        a=a,
        b=b,
        m=m,
        x=x,
    )

    def oracle(x: int) -> int:
        def step(y: int) -> int:
            return (a * y**power + b) % m

        start = slow = fast = x % m
        slow, fast = step(slow), step(step(fast))
        while slow != fast:
            slow, fast = step(slow), step(step(fast))
        tail, slow = 0, start
        while slow != fast:
            tail, slow, fast = tail + 1, step(slow), step(fast)
        cycle, fast = 1, step(slow)
        while slow != fast:
            cycle, fast = cycle + 1, step(fast)
        return tail + cycle

    return Draft(
        signature=f"{name}(x)",
        task=f"counts the different numbers in the sequence that begins with `x` modulo {m} and in "
        f"which each x is followed by ({a}·{'x' if power == 1 else 'x²'} + {b}) mod {m}",
        notes=["`x` is a whole number and may be larger than the modulus."],
        solution=solution,
        oracle=oracle,
        tests=calls(
            name, [(rng.randint(0, 5 * m),) for _ in range(7)] + [(0,), (m,), (2 * m + 1,)]
        ),
        parameters={"a": a, "b": b, "m": m, "power": power},
        difficulty=3,
    )


def fold_gcd(rng: Random) -> Draft:
    values = rng.choice(NUMBER_LISTS)
    is_gcd, skips = rng.random() < 0.5, rng.random() < 0.5
    kind = "greatest common divisor" if is_gcd else "least common multiple"
    name = rng.choice(("gcd", "shared_divisor") if is_gcd else ("lcm", "shared_multiple"))
    name = f"{name}_of_all"
    loop = (
        "while x:\n            result, x = x, result % x"
        if is_gcd
        else "a, b = result, x\n        while b:\n            a, b = b, a % b\n"
        "        result = result // a * x"
    )
    solution = code(
        """
        def $f($values):
            result = $start
            for x in $values:$skip
                $loop
            return result
        """,
        f=name,
        values=values,
        start=0 if is_gcd else 1,
        skip="\n        if x < 2:\n            continue" if skips else "",
        loop=loop,
    )

    def oracle(numbers: list[int]) -> int:
        kept = [x for x in numbers if x > 1] if skips else numbers
        return math.gcd(*kept) if is_gcd else math.lcm(*kept)

    step = rng.choice((2, 3, 4, 6, 10))
    inputs = [([step * x for x in ints(rng, n, 1, 12)],) for n in (2, 3, 4)]
    notes = [f"Without any number the result is {0 if is_gcd else 1}."]
    notes.append("Numbers below 2 are skipped." if skips else "All numbers are positive.")
    return Draft(
        signature=f"{name}({values})",
        task=f"returns the {kind} of the whole numbers in the list `{values}`",
        notes=notes,
        solution=solution,
        oracle=oracle,
        tests=calls(name, [*inputs, ([],), ([12],), ([1, 8, 12],), ([9, 25],)]),
        parameters={"is_gcd": is_gcd, "skips": skips},
        difficulty=2,
    )


def special_primes(rng: Random) -> Draft:
    name = rng.choice(("special_primes", "filtered_primes", "count_primes"))
    modulus = rng.choice((3, 4, 5, 6, 7, 8, 9, 10, 12))
    residue = rng.choice([r for r in range(1, modulus) if math.gcd(r, modulus) == 1])
    count = name == "count_primes"
    result = "len(found)" if count else "found"
    solution = code(
        """
        def $f(low, high):
            sieve = [True] * (max(high, 1) + 1)
            sieve[0] = sieve[1] = False
            for n in range(2, int(high**0.5) + 1 if high > 0 else 0):
                if sieve[n]:
                    for multiple in range(n * n, high + 1, n):
                        sieve[multiple] = False
            found = [n for n in range(low, high + 1) if sieve[n] and n % $modulus == $residue]
            return $result
        """,
        f=name,
        modulus=modulus,
        residue=residue,
        result=result,
    )

    def oracle(low: int, high: int) -> list[int] | int:
        primes = [n for n in range(max(low, 2), high + 1) if all(n % d for d in range(2, n))]
        found = [p for p in primes if p % modulus == residue]
        return len(found) if count else found

    inputs = [(rng.randint(0, 40), rng.randint(50, 200)) for _ in range(3)]
    numbers = [n for n in range(4, 200) if n % modulus == residue]
    primes = [n for n in numbers if all(n % d for d in range(2, n))]
    composites = [n for n in numbers if n not in primes]
    return Draft(
        signature=f"{name}(low, high)",
        task=f"returns {'the number of' if count else 'a sorted list of the'} primes p with low <= "
        f"p <= high that leave the remainder {residue} when divided by {modulus}",
        notes=["`low` and `high` are not negative; if low > high there are none."],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [*inputs, (0, 1), (2, 2), (30, 20), (0, 30)])
        + calls(name, [(0, 2), (primes[1], primes[2]), *((1, n) for n in composites[:3])]),
        parameters={"modulus": modulus, "residue": residue, "count": count},
        difficulty=3,
    )


def polynomial(rng: Random) -> Draft:
    name = rng.choice(("evaluate", "polynomial", "p", "f_of"))
    factors = [rng.randint(-9, 9) for _ in range(rng.randint(2, 5))] + [rng.randint(1, 9)]
    modulus = rng.choice((None, None, 7, 97, 1000))
    horner = rng.random() < 0.5
    body = (
        f"    total = 0\n    for factor in {factors[::-1]}:\n        total = total * x + factor\n"
        if horner
        else f"    total = sum(c * x**k for k, c in enumerate({factors}))\n"
    )
    end = f"    return total % {modulus}\n" if modulus else "    return total\n"
    terms = [f"{c}·x^{k}" for k, c in reversed(list(enumerate(factors))) if c]

    def oracle(x: int) -> int:
        total, power = 0, 1
        for factor in factors:
            total, power = total + factor * power, power * x
        return total % modulus if modulus else total

    return Draft(
        signature=f"{name}(x)",
        task=f"returns the value of {' + '.join(terms).replace('+ -', '- ')}"
        + (f" modulo {modulus}" if modulus else "")
        + " for a whole number `x`",
        notes=["The result is never negative."] if modulus else (),
        solution=f"def {name}(x):\n{body}{end}",
        oracle=oracle,
        tests=calls(name, [(x,) for x in (0, 1, -1, 2, rng.randint(3, 50), -rng.randint(3, 50))]),
        parameters={"factors": factors, "modulus": modulus},
        difficulty=1,
    )


def divisor_class(rng: Random) -> Draft:
    name = rng.choice(("classify", "kind_of_number", "number_kind"))
    labels = rng.choice(
        (("deficient", "perfect", "abundant"), ("less", "equal", "more"), (-1, 0, 1), "<=>")
    )
    limit = rng.choice((1, 2, 3))
    solution = code(
        """
        def $f(n):
            total = 0
            divisor = 1
            while divisor * divisor <= n:
                if n % divisor == 0:
                    total += divisor
                    if divisor != n // divisor:
                        total += n // divisor
                divisor += 1
            total -= n
            if total < $bound:
                return $less
            return $equal if total == $bound else $more
        """,
        f=name,
        bound="n" if limit == 1 else f"n * {limit}",
        less=repr(labels[0]),
        equal=repr(labels[1]),
        more=repr(labels[2]),
    )

    def oracle(n: int) -> object:
        total = functools.reduce(lambda s, d: s + d * (n % d == 0), range(1, n), 0)
        return labels[(total >= limit * n) + (total > limit * n)]

    bound = "`n`" if limit == 1 else f"{limit}·n"
    more = (27720, 30240) if limit == 3 else ()  # the first that is larger, and one that is equal
    return Draft(
        signature=f"{name}(n)",
        task=f"compares the sum of the proper divisors of a positive whole number `n` with {bound}",
        notes=[
            f"Return {labels[0]!r} if the sum is smaller, {labels[1]!r} if it is equal, and "
            f"{labels[2]!r} if it is larger.",
            "A proper divisor of n is one that is smaller than n.",
        ],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [(n,) for n in (1, 4, 6, 12, 28, 120, 180, *more, rng.randint(2, 900))]),
        parameters={"labels": list(labels), "limit": limit},
        difficulty=3,
    )


FAMILIES = (
    orbit,
    fold_gcd,
    special_primes,
    polynomial,
    divisor_class,
)
