"""Families about the digits of whole numbers."""

from random import Random

from codepretrain.data.synthetic.families.family import Draft, calls, code


def digit_root(rng: Random) -> Draft:
    name = rng.choice(("digit_root", "reduce_digits", "collapse", "digit_steps"))
    base, power, count = rng.randint(3, 16), rng.randint(1, 2), rng.random() < 0.5
    solution = code(
        """
        def $f(n):
            steps = 0
            while n >= $limit:
                total = 0
                while n:
                    n, digit = divmod(n, $base)
                    total += digit$power
                n = total
                steps += 1
            return $result
        """,
        f=name,
        base=base,
        limit=base**power,
        power="" if power == 1 else f" ** {power}",
        result="steps" if count else "n",
    )

    def oracle(n: int) -> int:
        steps = 0
        while n >= base**power:
            digits = []
            for place in range(n.bit_length()):
                digits.append(n // base**place % base)
            n, steps = sum(d**power for d in digits), steps + 1
        return steps if count else n

    what = "digits" if power == 1 else "squares of the digits"
    returns = "how many times this was done" if count else "the number that is left"
    return Draft(
        signature=f"{name}(n)",
        task=f"replaces `n` by the sum of the {what} of its base-{base} representation for as long "
        f"as it is at least {base**power}, and returns {returns}",
        notes=["`n` is not negative."],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [(rng.randint(10, 10**k),) for k in (2, 3, 5, 8)] + [(0,), (7,)])
        + calls(name, [(base**power + d,) for d in (-1, 0, 1)] + [((base - 1) * base + 1,)]),
        parameters={"base": base, "power": power, "count": count},
        difficulty=3,
    )


def custom_base(rng: Random) -> Draft:
    name = rng.choice(("to_code", "spell_number", "in_symbols", "encode_number"))
    alphabet = "".join(rng.sample("abcdefghjkmnpqrstuvwxyz23456789", rng.randint(2, 12)))
    width = rng.randint(1, 5)
    solution = code(
        """
        def $f(n):
            if n < 0:
                raise ValueError("negative")
            symbols = $alphabet
            digits = []
            while n:
                n, digit = divmod(n, len(symbols))
                digits.append(symbols[digit])
            return "".join(reversed(digits)).rjust($width, symbols[0])
        """,
        f=name,
        alphabet=repr(alphabet),
        width=width,
    )

    def oracle(n: int) -> str:
        if n < 0:
            raise ValueError
        places = width
        while len(alphabet) ** places <= n:
            places += 1
        base = len(alphabet)
        return "".join(alphabet[n // base**p % base] for p in reversed(range(places)))

    return Draft(
        signature=f"{name}(n)",
        task=f"writes the whole number `n` in base {len(alphabet)} with the symbols {alphabet!r}, "
        "of which the first is zero, the second one, and so on",
        notes=[
            f"Pad the result with {alphabet[0]!r} on the left to at least {width} "
            f"symbol{'s' * (width > 1)}.",
            "Raise a `ValueError` if `n` is negative.",
        ],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [(rng.randint(1, 10**k),) for k in (1, 3, 5)] + [(0,), (-1,), (64,)]),
        parameters={"alphabet": alphabet, "width": width},
        difficulty=2,
    )


FAMILIES = (digit_root, custom_base)
