"""Families about parsing text."""

import re
from random import Random
from typing import Any

from codepretrain.data.synthetic.families.family import Draft, calls, code, word_list


def settings(rng: Random) -> Draft:
    name = rng.choice(("parse_settings", "read_config", "parse_pairs", "load_options"))
    between, equals = rng.choice((";", ",", "|", "\n")), rng.choice(("=", ":", "->"))
    numbers = rng.random() < 0.5
    first = rng.random() < 0.4
    value = "int(value) if value.isdigit() else value" if numbers else "value"
    solution = code(
        """
        def $f(text):
            settings = {}
            for part in text.split($between):
                key, found, value = part.partition($equals)
                key, value = key.strip(), value.strip()
                if found and key$guard:
                    settings[key] = $value
            return settings
        """,
        f=name,
        between=repr(between),
        equals=repr(equals),
        value=value,
        guard=" and key not in settings" if first else "",
    )
    pattern = re.compile(rf"(.*?){re.escape(equals)}(.*)", re.DOTALL)

    def oracle(text: str) -> dict[str, Any]:
        matches = [m for part in text.split(between) if (m := pattern.fullmatch(part))]
        pairs = [(m[1].strip(), m[2].strip()) for m in matches]
        pairs = [(k, int(v) if numbers and v.isdigit() else v) for k, v in pairs if k]
        return dict(pairs[::-1] if first else pairs)

    def text(size: int) -> str:
        values = [rng.choice((str(rng.randint(0, 99)), *word_list(rng, 2))) for _ in range(size)]
        pairs = zip(word_list(rng, size), values, strict=True)
        return between.join(f"{k} {equals}{v}" for k, v in pairs)

    edge = [f"a{equals}1{between}a{equals}2", f"x{between}{equals}3{between}y{equals}", ""]
    notes = [
        f"Pairs are separated by {between!r}, a key and its value by the first {equals!r}.",
        "White space around keys and values is removed.",
        "Parts without a separator or without a key are ignored.",
        f"If a key occurs more than once, its {'first' if first else 'last'} value counts.",
    ]
    if numbers:
        notes.append("Values made of digits only become `int`.")
    return Draft(
        signature=f"{name}(text)",
        task="parses `text` into a dictionary of settings",
        notes=notes,
        solution=solution,
        oracle=oracle,
        tests=calls(name, [(t,) for t in (text(2), text(3), text(5), *edge)]),
        parameters={"between": between, "equals": equals, "numbers": numbers, "first": first},
        difficulty=3,
    )


_UNITS = (
    {"d": 86400, "h": 3600, "m": 60, "s": 1},
    {"w": 7, "d": 1},
    {"t": 1000, "kg": 1, "q": 100},
    {"km": 1000, "m": 1, "hm": 100},
    {"y": 12, "q": 3, "mo": 1},
)


def duration(rng: Random) -> Draft:
    name = rng.choice(("to_seconds", "parse_duration", "total_units", "parse_amount"))
    table = rng.choice(_UNITS)
    units = dict(rng.sample(list(table.items()), len(table)))
    solution = code(
        """
        def $f(text):
            factors = $units
            total, number, unit = 0, "", ""
            for c in text + "0":
                if c.isdigit():
                    if unit:
                        if not number or unit not in factors:
                            raise ValueError(text)
                        total += int(number) * factors[unit]
                        number, unit = "", ""
                    number += c
                else:
                    unit += c
            if number != "0":
                raise ValueError(text)
            return total
        """,
        f=name,
        units=units,
    )
    alternatives = "|".join(sorted(units, key=len, reverse=True))

    def oracle(text: str) -> int:
        if not re.fullmatch(rf"(\d+({alternatives}))*", text):
            raise ValueError
        found = re.findall(rf"(\d+)({alternatives})", text)
        return sum(int(number) * units[unit] for number, unit in found)

    names = list(units)
    texts = [
        "".join(f"{rng.randint(1, 40)}{u}" for u in rng.choices(names, k=n)) for n in (1, 2, 3)
    ]
    texts += ["", "12", f"{names[0]}5", "3zz", f"7{names[-1]}"]
    meaning = ", ".join(f"{unit} = {factor}" for unit, factor in units.items())
    return Draft(
        signature=f"{name}(text)",
        task=f"adds up the amounts in `text`, in which every whole number is followed by its unit "
        f"without a space: {meaning}",
        notes=[
            "A unit may occur several times, in any order. An empty text is 0.",
            "Raise a `ValueError` if the text does not have this form.",
        ],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [(t,) for t in texts]),
        parameters={"units": units},
        difficulty=4,
    )


def brackets(rng: Random) -> Draft:
    name = rng.choice(("is_balanced", "check_brackets", "brackets_match", "nesting_depth"))
    pairs = rng.sample(("()", "[]", "{}", "<>", "«»", "/\\"), rng.randint(1, 4))
    depth = name == "nesting_depth"
    closers = {pair[1]: pair[0] for pair in pairs}
    solution = code(
        """
        def $f(text):
            openers = $closers
            stack = []
            deepest = 0
            for c in text:
                if c in openers.values():
                    stack.append(c)
                    deepest = max(deepest, len(stack))
                elif c in openers:
                    if not stack or stack.pop() != openers[c]:
                        return $bad
            return $end
        """,
        f=name,
        closers=closers,
        bad="-1" if depth else "False",
        end="-1 if stack else deepest" if depth else "not stack",
    )

    def oracle(text: str) -> int | bool:
        deepest, expected = 0, ""
        for c in text:
            for pair in pairs:
                left, right = tuple(pair)
                if c == left:
                    expected = right + expected
                elif c == right:
                    if expected[:1] != c:
                        return -1 if depth else False
                    expected = expected[1:]
            deepest = max(deepest, len(expected))
        return (-1 if expected else deepest) if depth else not expected

    symbols = "".join(pairs) + "x"
    texts = ["".join(rng.choices(symbols, k=n)) for n in (3, 5)]
    inner = "".join(p[0] for p in pairs) + "a" + "".join(p[1] for p in reversed(pairs))
    texts += [inner, inner + pairs[0], pairs[0][1], pairs[0][0] + inner, ""]
    listed = " and ".join(f"{pair[0]} {pair[1]}" for pair in pairs)
    return Draft(
        signature=f"{name}(text)",
        task=(
            "returns how deeply the brackets in `text` are nested, or -1 if they are not balanced"
            if depth
            else "returns whether the brackets in `text` are balanced and properly nested"
        ),
        notes=[f"The brackets are {listed}.", "All other characters are ignored."],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [(t,) for t in texts]),
        parameters={"pairs": pairs, "depth": depth},
        difficulty=3,
    )


def calculator(rng: Random) -> Draft:
    name = rng.choice(("calculate", "evaluate", "compute", "reckon"))
    signs = rng.sample("+-*@#&!", 3)
    operations = rng.sample(("a + b", "a - b", "a * b", "max(a, b)", "min(a, b)", "a + 2 * b"), 3)
    solution = code(
        """
        def $f(text):
            tokens = text.split()
            total = int(tokens[0])
            for sign, number in zip(tokens[1::2], tokens[2::2]):
                a, b = total, int(number)
                if sign == $s0:
                    total = $e0
                elif sign == $s1:
                    total = $e1
                elif sign == $s2:
                    total = $e2
                else:
                    raise ValueError(sign)
            return total
        """,
        f=name,
        **{f"s{i}": repr(sign) for i, sign in enumerate(signs)},
        **{f"e{i}": operation for i, operation in enumerate(operations)},
    )
    functions = {
        "a + b": lambda a, b: a - -b,
        "a - b": lambda a, b: a + -b,
        "a * b": lambda a, b: sum([a] * b) if b >= 0 else -sum([a] * -b),
        "max(a, b)": lambda a, b: a if a > b else b,
        "min(a, b)": lambda a, b: b if a > b else a,
        "a + 2 * b": lambda a, b: a + b + b,
    }
    table = {s: functions[o] for s, o in zip(signs, operations, strict=True)}

    def oracle(text: str) -> int:
        if " " not in text:
            return int(text)
        head, sign, number = text.rsplit(maxsplit=2)
        if sign not in table:
            raise ValueError
        return table[sign](oracle(head), int(number))

    def text(size: int) -> str:
        tail = "".join(f" {rng.choice(signs)} {rng.randint(0, 9)}" for _ in range(size))
        return f"{rng.randint(0, 20)}{tail}"

    texts = [text(3), text(5), "7", "1 ? 2", *(f"{a} {s} 5" for s in signs for a in (12, 3))]
    meaning = "; ".join(f"`a {s} b` is {o}" for s, o in zip(signs, operations, strict=True))
    return Draft(
        signature=f"{name}(text)",
        task="evaluates an expression of whole numbers and operators, which are separated by "
        "single spaces, strictly from left to right",
        notes=[f"The operators: {meaning}.", "Raise a `ValueError` for any other operator."],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [(t,) for t in texts]),
        parameters={"operators": dict(zip(signs, operations, strict=True))},
        difficulty=3,
    )


FAMILIES = (settings, duration, brackets, calculator)
