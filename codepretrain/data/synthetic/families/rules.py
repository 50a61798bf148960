"""Families about rules: conditions and records. Composed at random, so most drafts differ."""

import bisect
from collections.abc import Callable
from random import Random
from typing import Any

from codepretrain.data.synthetic.families.family import Draft, calls, code, ints, word_list


def _marginal_fee(name: str, x: str, base: int, bounds: list[int], rates: list[int]) -> str:
    return code(
        """
        def $f($x):
            if $x < 0:
                raise ValueError("negative")
            total = $base
            lower = 0
            for upper, rate in zip($bounds, $rates):
                total += rate * max(0, min($x, upper) - lower)
                lower = upper
            return total + $last * max(0, $x - lower)
        """,
        f=name,
        x=x,
        base=base,
        bounds=bounds,
        rates=rates[:-1],
        last=rates[-1],
    )


_QUANTITIES = (
    ("weight", "kg"),
    ("distance", "km"),
    ("amount", "items"),
    ("age", "years"),
    ("hours", "h"),
)


def piecewise(rng: Random) -> Draft:
    """Random bounds and formulas."""
    thing, unit = rng.choice(_QUANTITIES)
    name = rng.choice(("fee", "price", "rate", "charge", "tariff"))
    name = f"{name}_for_{thing}"
    bounds = sorted(rng.sample(range(2, 60), rng.randint(2, 4)))
    formulas = [(rng.randint(0, 30), rng.choice((0, 1, 2, 3, 5))) for _ in range(len(bounds) + 1)]
    marginal = rng.random() < 0.4
    base, rates = rng.choice((0, 5, 12)), [rate + i + 1 for i, (_, rate) in enumerate(formulas)]
    texts = [f"{a} + {b} * {thing}" if b else str(a) for a, b in formulas]
    if marginal:  # each part of the amount at its own rate
        solution = _marginal_fee(name, thing, base, bounds, rates)
    else:
        lines = [
            f"    if {thing} < {bound}:\n        return {text}\n"
            for bound, text in zip(bounds, texts, strict=False)
        ]
        guard = f"    if {thing} < 0:\n        raise ValueError('negative')\n"
        solution = f"def {name}({thing}):\n{guard}{''.join(lines)}    return {texts[-1]}\n"

    def oracle(x: int) -> int:
        if x < 0:
            raise ValueError
        if marginal:
            return base + sum(rates[bisect.bisect(bounds, y)] for y in range(x))
        a, b = formulas[bisect.bisect(bounds, x)]
        return a + b * x

    if marginal:
        parts = [f"{r} for each {unit} up to {b}" for b, r in zip(bounds, rates, strict=False)]
        note = f"The fee is {base} plus {', then '.join(parts)}, then {rates[-1]}."
    else:
        parts = [f"{t} below {b}" for b, t in zip(bounds, texts, strict=False)]
        note = f"It is {', '.join(parts)}, and {texts[-1]} otherwise."
    points = {0, bounds[-1] + 7, *ints(rng, 2, 0, 80)} | {b - d for b in bounds for d in (0, 1)}
    return Draft(
        signature=f"{name}({thing})",
        task=f"returns the fee for a {thing} in whole {unit}",
        notes=[note, f"A negative {thing} is a `ValueError`."],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [(x,) for x in (*sorted(points), -1)]),
        parameters={"bounds": bounds, "formulas": [list(f) for f in formulas], "kind": marginal},
        difficulty=2 + marginal,
    )


# A sentence, an expression, an oracle, and values at the border: the first one follows the rule.
Condition = tuple[str, str, Callable[[Any], bool], list[Any]]


def _conditions(rng: Random, field: str) -> Condition:
    low, size, digit = rng.randint(1, 30), rng.randint(2, 6), rng.randint(2, 5)
    letter = rng.choice("aeiot")
    conditions: dict[str, Condition] = {
        "name": (
            f"'name' has at least {size} characters",
            f'len(record["name"]) >= {size}',
            lambda v: len(v) > size - 1,
            ["x" * size, "x" * (size - 1)],
        ),
        "age": (
            f"'age' is from {low} to {low + 20}",
            f'({low} <= record["age"] <= {low + 20})',
            lambda v: v in range(low, low + 21),
            [low, low - 1, low + 20, low + 21],
        ),
        "code": (
            f"'code' begins with {letter!r}",
            f'record["code"].startswith("{letter}")',
            lambda v: v[:1] == letter,
            [letter, f"x{letter}", ""],
        ),
        "level": (
            f"'level' is divisible by {digit}",
            f'record["level"] % {digit} == 0',
            lambda v: v // digit * digit == v,
            [digit, digit + 1, 0],
        ),
        "tags": (
            f"'tags' has no more than {digit} items",
            f'len(record["tags"]) <= {digit}',
            lambda v: not v[digit:],
            [["x"] * digit, ["x"] * (digit + 1)],
        ),
    }
    return conditions[field]


def record_check(rng: Random) -> Draft:
    """Random conditions on the fields of a record."""
    name = rng.choice(("violations", "check_record", "is_valid", "broken_rules"))
    fields = rng.sample(("name", "age", "code", "level", "tags"), rng.randint(2, 4))
    conditions = {field: _conditions(rng, field) for field in fields}
    boolean, missing = name == "is_valid", rng.random() < 0.5
    lines = []
    for field, (_, expression, _, _) in conditions.items():
        test = f"not {expression}"
        if missing:
            test = f'"{field}" not in record or {test}'
        lines.append(f'    if {test}:\n        broken.append("{field}")\n')
    result = "not broken" if boolean else "broken"
    solution = f"def {name}(record):\n    broken = []\n{''.join(lines)}    return {result}\n"

    def oracle(record: dict[str, Any]) -> list[str] | bool:
        bad = [f for f in fields if f not in record or not conditions[f][2](record[f])]
        return bad == [] if boolean else bad

    def record() -> dict[str, Any]:
        values = {
            "name": rng.choice(("Al", "Bea", "Christopher", "")),
            "age": rng.randint(0, 60),
            "code": rng.choice(word_list(rng, 3)),
            "level": rng.randint(0, 12),
            "tags": word_list(rng, rng.randint(0, 6)),
        }
        kept = [f for f in fields if not missing or rng.random() < 0.85]
        return {field: values[field] for field in kept}

    texts = [text for text, _, _, _ in conditions.values()]
    right = {field: values[0] for field, (_, _, _, values) in conditions.items()}
    borders = [right | {f: v} for f, (_, _, _, values) in conditions.items() for v in values[1:]]
    if missing:
        borders += [{f: v for f, v in right.items() if f != left_out} for left_out in fields]
    goal = (
        "returns whether a record (a dictionary) follows all rules"
        if boolean
        else "returns the list of the fields of a record (a dictionary) that break their rule"
    )
    return Draft(
        signature=f"{name}(record)",
        task=goal,
        notes=[
            f"The rules: {'; '.join(texts)}.",
            "" if boolean else "The list has the order of the rules.",
            "A field that is missing breaks its rule." if missing else "No field is missing.",
        ],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [(r,) for r in (*(record() for _ in range(4)), *borders)]),
        parameters={"rules": texts, "missing": missing},
        difficulty=2,
    )


FAMILIES = (piecewise, record_check)
