"""A family of list operations that are composed at random: most drafts differ."""

import functools
from random import Random

from codepretrain.data.synthetic.families.family import NUMBER_LISTS, Draft, calls, int_lists

_FILTERS = (
    ("keep the even numbers", "x % 2 == 0", lambda x: x % 2 == 0),
    ("keep the odd numbers", "x % 2 == 1", lambda x: x % 2 == 1),
    ("drop negative numbers", "x >= 0", lambda x: x >= 0),
    ("keep the multiples of 3", "x % 3 == 0", lambda x: not x % 3),
    ("drop the numbers above 20", "x <= 20", lambda x: not x > 20),
    ("drop zeros", "x != 0", lambda x: bool(x)),
)
_MAPS = (
    ("square every number", "x * x", lambda x: x**2),
    ("double every number", "2 * x", lambda x: x + x),
    ("take absolute values", "abs(x)", lambda x: max(x, -x)),
    ("negate every number", "-x", lambda x: 0 - x),
    ("subtract 7 from every number", "x - 7", lambda x: x + -7),
    ("take every number modulo 10", "x % 10", lambda x: x - x // 10 * 10),
    ("replace every number by its number of decimal digits", "len(str(abs(x)))", None),
)
_ENDS = (
    ("return the resulting list", "result", list),
    ("return their sum", "sum(result)", sum),
    ("return how many are left", "len(result)", len),
    ("return them sorted in descending order", "sorted(result, reverse=True)", None),
    ("return the largest of them, or 0 if there is none", "max(result, default=0)", None),
    ("return the list of running totals", "list(itertools.accumulate(result))", None),
)


def _digits(x: int) -> int:
    count, x = 1, abs(x)
    while x > 9:
        count, x = count + 1, x // 10
    return count


def _running(numbers: list[int]) -> list[int]:
    return [sum(numbers[: i + 1]) for i in range(len(numbers))]


_OTHER_ENDS = {
    3: lambda r: sorted(r)[::-1],
    4: lambda r: functools.reduce(lambda a, b: a if a > b else b, r) if r else 0,
    5: _running,
}


def list_pipeline(rng: Random) -> Draft:
    """Composed of random operations: most drafts differ."""
    values = rng.choice(NUMBER_LISTS)
    name = f"process_{values}"
    steps = [
        (kind, rng.randrange(len(table)))
        for kind, table in rng.choices((("filter", _FILTERS), ("map", _MAPS)), k=rng.randint(2, 4))
    ]
    end = rng.randrange(len(_ENDS))
    lines, tasks = [], []
    for kind, index in steps:
        table = _FILTERS if kind == "filter" else _MAPS
        tasks.append(table[index][0])
        expression = table[index][1]
        item = f"x for x in result if {expression}" if kind == "filter" else None
        lines.append(f"    result = [{item or f'{expression} for x in result'}]")
    head = "import itertools\n\n\n" if "itertools" in _ENDS[end][1] else ""
    first, last = f"    result = {values}", f"    return {_ENDS[end][1]}\n"
    solution = "\n".join([f"{head}def {name}({values}):", first, *lines, last])

    def oracle(numbers: list[int]) -> object:
        for kind, index in steps:
            if kind == "filter":
                numbers = list(filter(_FILTERS[index][2], numbers))
            else:
                numbers = list(map(_MAPS[index][2] or _digits, numbers))
        return (_ENDS[end][2] or _OTHER_ENDS[end])(numbers)

    order = [*tasks, _ENDS[end][0]]
    return Draft(
        signature=f"{name}({values})",
        task=f"works on a list `{values}` of whole numbers in {len(order)} steps",
        notes=[f"Step {i}: {text}." for i, text in enumerate(order, start=1)],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [(x,) for x in int_lists(rng, 7)])
        + calls(name, [([20, 21, 0, -1, 3, 10, -7, 9],), ([4],), ([-3, 6, -10],)]),
        parameters={"steps": [list(step) for step in steps], "end": end},
        difficulty=1 + len(steps) // 2,
    )


FAMILIES = (list_pipeline,)
