"""Families about rules: conditions, records, orders. Composed at random, so most drafts differ."""

import bisect
import itertools
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
    points = {0, bounds[0] - 1, bounds[0], bounds[-1], bounds[-1] + 7, *ints(rng, 3, 0, 80)}
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


Condition = tuple[str, str, Callable[[Any], bool]]


def _conditions(rng: Random, field: str) -> Condition:
    low, size, digit = rng.randint(1, 30), rng.randint(2, 6), rng.randint(2, 5)
    letter = rng.choice("aeiot")
    return {
        "name": (
            f"'name' has at least {size} characters",
            f'len(record["name"]) >= {size}',
            lambda v: len(v) > size - 1,
        ),
        "age": (
            f"'age' is from {low} to {low + 20}",
            f'({low} <= record["age"] <= {low + 20})',
            lambda v: v in range(low, low + 21),
        ),
        "code": (
            f"'code' begins with {letter!r}",
            f'record["code"].startswith("{letter}")',
            lambda v: v[:1] == letter,
        ),
        "level": (
            f"'level' is divisible by {digit}",
            f'record["level"] % {digit} == 0',
            lambda v: v // digit * digit == v,
        ),
        "tags": (
            f"'tags' has no more than {digit} items",
            f'len(record["tags"]) <= {digit}',
            lambda v: not v[digit:],
        ),
    }[field]


def record_check(rng: Random) -> Draft:
    """Random conditions on the fields of a record."""
    name = rng.choice(("violations", "check_record", "is_valid", "broken_rules"))
    fields = rng.sample(("name", "age", "code", "level", "tags"), rng.randint(2, 4))
    conditions = {field: _conditions(rng, field) for field in fields}
    boolean, missing = name == "is_valid", rng.random() < 0.5
    lines = []
    for field, (_, expression, _) in conditions.items():
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

    goal = (
        "returns whether a record (a dictionary) follows all rules"
        if boolean
        else "returns the list of the fields of a record (a dictionary) that break their rule"
    )
    return Draft(
        signature=f"{name}(record)",
        task=goal,
        notes=[
            f"The rules: {'; '.join(text for text, _, _ in conditions.values())}.",
            "" if boolean else "The list has the order of the rules.",
            "A field that is missing breaks its rule." if missing else "No field is missing.",
        ],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [(record(),) for _ in range(7)]),
        parameters={"rules": [text for text, _, _ in conditions.values()], "missing": missing},
        difficulty=2,
    )


def sorted_records(rng: Random) -> Draft:
    """Random keys, each ascending or descending."""
    name = rng.choice(("sort_records", "ranked", "ordered", "arrange"))
    keys = [
        ("their first item", "r[0]", lambda r: r[0]),
        ("their second item", "r[1]", lambda r: r[1]),
        ("the length of their first item", "len(r[0])", lambda r: len(r[0])),
        ("their last digit of the second item", "r[1] % 10", lambda r: int(str(r[1])[-1])),
        ("the last character of their first item", "r[0][-1]", lambda r: r[0][-1:]),
    ]
    chosen = rng.sample(keys, rng.randint(2, 3))
    descending = [rng.random() < 0.5 for _ in chosen]
    limit = rng.choice((None, None, 2, 3))
    lines = [
        f"    result.sort(key=lambda r: {expression}{', reverse=True' * down})\n"
        for (_, expression, _), down in reversed(list(zip(chosen, descending, strict=True)))
    ]
    end = "result" if limit is None else f"result[:{limit}]"
    solution = (
        f"def {name}(records):\n    result = list(records)\n{''.join(lines)}    return {end}\n"
    )

    def before(a: tuple[str, int], b: tuple[str, int]) -> bool:
        for (_, _, key), down in zip(chosen, descending, strict=True):
            if key(a) != key(b):
                return (key(a) > key(b)) == down
        return False

    def oracle(records: list[tuple[str, int]]) -> list[tuple[str, int]]:
        """Inserts one after another, behind its equals."""
        ordered: list[tuple[str, int]] = []
        for record in records:
            place = sum(not before(record, other) for other in ordered)
            ordered.insert(place, record)
        return ordered[:limit]

    def records(size: int) -> list[tuple[str, int]]:
        return list(zip(word_list(rng, size), ints(rng, size, 0, 30), strict=True))

    texts = [
        f"{text} ({'descending' if down else 'ascending'})"
        for (text, _, _), down in zip(chosen, descending, strict=True)
    ]
    return Draft(
        signature=f"{name}(records)",
        task=f"returns a list of the pairs (string, whole number) in `records`, sorted by "
        f"{', then by '.join(texts)}",
        notes=[
            "Pairs that are equal in all of this keep their order. The given list is not changed.",
            f"Only the first {limit} pairs are returned." if limit else "",
        ],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [(records(n),) for n in (2, 4, 6, 9)] + [([],)]),
        parameters={"keys": texts, "limit": limit},
        difficulty=3,
    )


def letter_order(rng: Random) -> Draft:
    name = rng.choice(("sort_by_alphabet", "in_order", "custom_sort", "foreign_sort"))
    letters = "".join(rng.sample("abcdefgh", rng.randint(4, 6)))
    longest = rng.random() < 0.4
    head = "-len(word), " if longest else ""
    solution = code(
        """
        def $f(words):
            rank = {letter: i for i, letter in enumerate($letters)}
            return sorted(words, key=lambda word: ($head[rank[c] for c in word]))
        """,
        f=name,
        letters=repr(letters),
        head=head,
    )

    def oracle(words: list[str]) -> list[str]:
        size = max(map(len, words), default=0)
        possible = (
            "".join(chosen)
            for n in (range(size, -1, -1) if longest else range(size + 1))
            for chosen in itertools.product(letters, repeat=n)
        )
        places = {word: i for i, word in enumerate(possible)}
        if longest:
            return sorted(words, key=places.__getitem__)
        table = str.maketrans(letters, "".join(map(str, range(len(letters)))))
        return sorted(words, key=lambda word: word.translate(table))

    def words(size: int) -> list[str]:
        return ["".join(rng.choices(letters, k=rng.randint(1, 4))) for _ in range(size)]

    return Draft(
        signature=f"{name}(words)",
        task="sorts a list of words by the alphabet " + " < ".join(letters),
        notes=[
            "The words consist of these letters only. A word comes before its extensions.",
            "Longer words come first; only words of equal length are compared by letters."
            if longest
            else "",
        ],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [(words(n),) for n in (3, 5, 8)] + [([],), ([letters[1], letters[0]],)]),
        parameters={"letters": letters, "longest": longest},
        difficulty=3,
    )


FAMILIES = (piecewise, record_check, sorted_records, letter_order)
