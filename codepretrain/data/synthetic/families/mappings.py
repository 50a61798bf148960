"""Families about dictionaries."""

import itertools
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from codepretrain.data.synthetic.families.family import Draft, calls, code, word_list

_RECORDS = (
    ("orders", "customer", "amount"),
    ("sales", "region", "units"),
    ("trips", "driver", "distance"),
    ("books", "author", "pages"),
    ("matches", "team", "points"),
    ("files", "owner", "size"),
)


def _records(rng: Random, group: str, number: str, size: int) -> list[dict[str, Any]]:
    keys = word_list(rng, 3)
    return [{group: rng.choice(keys), number: rng.randint(0, 40)} for _ in range(size)]


def group_totals(rng: Random) -> Draft:
    records, group, number = rng.choice(_RECORDS)
    name = f"{number}_by_{group}"
    reduction = rng.choice(("sum", "max", "min", "len"))
    threshold = rng.choice((None, 5, 10))
    solution = code(
        """
        def $f($records):
            groups = {}
            for record in $records:$skip
                groups.setdefault(record[$group], []).append(record[$number])
            return {key: $reduction(found) for key, found in groups.items()}
        """,
        f=name,
        records=records,
        group=repr(group),
        number=repr(number),
        reduction=reduction,
        skip=""
        if threshold is None
        else f"\n        if record[{number!r}] < {threshold}:\n            continue",
    )

    def oracle(rows: list[dict[str, Any]]) -> dict[str, int]:
        pairs = sorted((r[group], r[number]) for r in rows)
        kept = [p for p in pairs if threshold is None or p[1] >= threshold]
        grouped = itertools.groupby(kept, key=lambda p: p[0])
        functions: dict[str, Callable[[list[int]], int]]
        functions = {"sum": sum, "max": max, "min": min, "len": len}
        return {key: functions[reduction]([n for _, n in found]) for key, found in grouped}

    words = {"sum": "total", "max": "largest", "min": "smallest", "len": "number of entries with"}
    inputs = [(_records(rng, group, number, n),) for n in (3, 5, 7)] + [([],)]
    inputs += [([{group: "a", number: (threshold or 0) + d} for d in (-1, 0, 1)],)]
    inputs += [([{group: "a", number: (threshold or 0) + d}],) for d in (-1, 0)]
    notes = [f"`{records}` is a list of dictionaries with the keys {group!r} and {number!r}."]
    if threshold is not None:
        notes.append(f"Entries with {number} below {threshold} are ignored.")
    return Draft(
        signature=f"{name}({records})",
        task=f"returns a dictionary from every {group} to the {words[reduction]} {number}",
        notes=notes,
        solution=solution,
        oracle=oracle,
        tests=calls(name, inputs),
        parameters={"fields": [group, number], "reduction": reduction, "threshold": threshold},
        difficulty=2,
    )


def invert(rng: Random) -> Draft:
    name = rng.choice(("invert", "keys_by_value", "flip", "reverse_mapping"))
    mapping = rng.choice(("mapping", "table", "index", "lookup"))
    descending, lengths = rng.random() < 0.5, rng.random() < 0.4
    key = "len(value)" if lengths else "value"
    solution = code(
        """
        def $f($mapping):
            inverse = {}
            for key, value in $mapping.items():
                inverse.setdefault($key, []).append(key)
            return {value: sorted(keys$order) for value, keys in inverse.items()}
        """,
        f=name,
        mapping=mapping,
        key=key,
        order=", reverse=True" if descending else "",
    )

    def oracle(table: dict[str, str]) -> dict[Any, list[str]]:
        new = {k: len(v) if lengths else v for k, v in table.items()}
        ordered = sorted(table)[:: -1 if descending else 1]
        values = dict.fromkeys(new.values())
        return {value: [k for k in ordered if new[k] == value] for value in values}

    inputs = [(dict(zip(word_list(rng, n), word_list(rng, n), strict=True)),) for n in (3, 5, 8)]
    inputs += [({},), ({"b": "x", "c": "x", "a": "x", "d": "yy"},)]
    return Draft(
        signature=f"{name}({mapping})",
        task=f"turns a dictionary `{mapping}` of strings around: it returns a dictionary from "
        f"every {'length of a value' if lengths else 'value'} to the list of its keys",
        notes=[f"Each list is sorted in {'descending' if descending else 'ascending'} order."],
        solution=solution,
        oracle=oracle,
        tests=calls(name, inputs),
        parameters={"descending": descending, "lengths": lengths},
        difficulty=2,
    )


_POLICIES = {
    "sum": ("a[key] + b[key]", "the sum of both values"),
    "max": ("max(a[key], b[key])", "the larger value"),
    "min": ("min(a[key], b[key])", "the smaller value"),
    "first": ("a[key]", "the value of `a`"),
    "second": ("b[key]", "the value of `b`"),
}


def merge(rng: Random) -> Draft:
    name = rng.choice(("merge", "combine", "join_counts", "unite"))
    policy = rng.choice(tuple(_POLICIES))
    shared = rng.random() < 0.4
    value, phrase = _POLICIES[policy]
    solution = code(
        """
        def $f(a, b):
            merged = {}
            for key in [*a, *b]:
                if key in a and key in b:
                    merged[key] = $value$rest
            return merged
        """,
        f=name,
        value=value,
        rest=""
        if shared
        else "\n        else:\n            merged[key] = a[key] if key in a else b[key]",
    )

    def oracle(a: dict[str, int], b: dict[str, int]) -> dict[str, int]:
        both = [key for key in a if key in b]  # in an order that is the same in every process
        choose = {
            "sum": lambda k: Counter(a)[k] + Counter(b)[k],
            "max": lambda k: sorted((a[k], b[k]))[1],
            "min": lambda k: sorted((a[k], b[k]))[0],
            "first": lambda k: a[k],
            "second": lambda k: b[k],
        }[policy]
        common = {k: choose(k) for k in both}
        return common if shared else {**a, **b, **common}

    def table(size: int) -> dict[str, int]:
        return {word: rng.randint(-9, 30) for word in word_list(rng, size)}

    rest = "Other keys are left out." if shared else "Keys of only one dictionary are kept as is."
    same = ({"x": 1, "y": 5}, {"y": 2, "z": 3})
    return Draft(
        signature=f"{name}(a, b)",
        task="merges two dictionaries from strings to whole numbers into a new one",
        notes=[f"A key in both gets {phrase}.", rest],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [(table(n), table(n)) for n in (9, 12, 15)] + [({}, {}), same]),
        parameters={"policy": policy, "shared": shared},
        difficulty=2,
    )


def look_up_path(rng: Random) -> Draft:
    name = rng.choice(("look_up", "get_path", "dig", "resolve"))
    separator, raises = rng.choice("./:|>"), rng.random() < 0.5
    missing = "raise KeyError(path)" if raises else "return default"
    solution = code(
        """
        def $f(tree, path$default):
            for part in path.split($separator):
                if not isinstance(tree, dict) or part not in tree:
                    $missing
                tree = tree[part]
            return tree
        """,
        f=name,
        separator=repr(separator),
        missing=missing,
        default="" if raises else ", default=None",
    )

    def oracle(tree: object, path: str, default: object = None) -> object:
        head, _, rest = path.partition(separator)
        if not isinstance(tree, dict) or head not in tree:
            if raises:
                raise KeyError(path)
            return default
        return oracle(tree[head], rest, default) if separator in path else tree[head]

    a, b, c = rng.sample(("host", "port", "user", "name", "size", "color", "limit"), 3)
    tree = {a: {b: rng.randint(1, 99), c: {a: "deep", b: [1, 2]}}, c: rng.choice(("x", 5))}
    paths = [a, c, f"{a}{separator}{b}", f"{a}{separator}{c}{separator}{a}", "none"]
    paths += [f"{c}{separator}{a}", f"{a}{separator}{c}{separator}{b}", f"{a}{separator}"]
    rest = () if raises else (0,)
    return Draft(
        signature=f"{name}(tree, path{'' if raises else ', default=None'})",
        task="returns the value in nested dictionaries `tree` that `path` leads to, where the "
        f"keys in `path` are separated by {separator!r}",
        notes=[
            f"If there is no such key, {'raise a `KeyError`' if raises else 'return `default`'}.",
            "A value that is no dictionary has no keys.",
        ],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [(tree, path, *rest) for path in paths]),
        parameters={"separator": separator, "raises": raises},
        difficulty=2,
    )


def top_counts(rng: Random) -> Draft:
    name = rng.choice(("most_common_words", "top_words", "frequent_words"))
    k, folds, minimum = rng.randint(1, 4), rng.random() < 0.5, rng.randint(1, 5)
    solution = code(
        """
        def $f(text):
            counts = {}
            for word in text$lower.split():
                if len(word) >= $minimum:
                    counts[word] = counts.get(word, 0) + 1
            ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
            return ranked[:$k]
        """,
        f=name,
        k=k,
        minimum=minimum,
        lower=".lower()" if folds else "",
    )

    def oracle(text: str) -> list[tuple[str, int]]:
        words = [w for w in (text.lower() if folds else text).split() if len(w) >= minimum]
        ranked = Counter(sorted(words)).most_common()
        return ranked[:k]

    texts = [" ".join(word_list(rng, n) * rng.randint(1, 2)) for n in (5, 9, 14)]
    return Draft(
        signature=f"{name}(text)",
        task=f"returns the {k} most frequent word{'s' * (k > 1)} of `text` as a list of pairs "
        "(word, count), the most frequent first",
        notes=[
            "Words of equal frequency are in alphabetical order.",
            f"Words of fewer than {minimum} characters do not count." if minimum > 1 else "",
            "Upper and lower case are the same." if folds else "Upper and lower case differ.",
        ],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [(text,) for text in (*texts, "", "Amber amber AMBER zen")]),
        parameters={"k": k, "folds": folds, "minimum": minimum},
        difficulty=3,
    )


FAMILIES = (group_totals, invert, merge, look_up_path, top_counts)
