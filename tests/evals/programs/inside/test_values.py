"""Values as JSON: by content for built-in types, by number for the rest."""

import collections
import decimal
import enum
import fractions
import json
import math
from typing import Any

import pytest

from codepretrain.evals.programs.inside.values import MAX_DEPTH, decode, encode


def sent(value: Any) -> Any:
    """Returns what the other side gets; an object arrives as ("object", its number)."""
    held: list[Any] = []

    def hold(item: Any) -> int:
        held.append(item)
        return len(held) - 1

    form = json.loads(json.dumps(encode(value, hold)))
    return decode(form, lambda number: ("object", number))


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, False, 0, -7, 2**600, -(2**600), 1.5, -0.0, math.inf, 1e-320, "", "é\0"),
        *("\ud800", [], [1, [2.0, "x"]], (1,), (), {1: [2], (3, 4): {"a": None}}),
        *({1}, {"a"}),  # one element: a set's repr, the name of the case, has no fixed order
        *(frozenset({1}), b"\x00\xff", bytearray(b"x"), 1 + 2j, range(3, 9, 2), slice(1, None)),
        *(fractions.Fraction(2**600, 3), decimal.Decimal("1.50"), collections.deque([1, 2])),
        *(len, int, sorted),
    ],
    ids=repr,
)
def test_built_in_values_arrive_equal_and_of_the_same_type(value: Any) -> None:
    found = sent(value)
    assert found == value
    assert type(found) is type(value)
    assert repr(found) == repr(value)


def test_not_a_number_arrives() -> None:
    assert math.isnan(sent(math.nan))


class Equal(int):
    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0

    def __index__(self) -> int:
        return 42

    def __repr__(self) -> str:
        return "42"


class Full(list):
    def __iter__(self) -> Any:
        return iter([42])


class Color(enum.IntEnum):
    RED = 3


Pair = collections.namedtuple("Pair", "a b")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Equal(5), 5),
        (Full([1]), [1]),
        (Color.RED, 3),
        (Pair(1, 2), (1, 2)),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (collections.OrderedDict(x=1), {"x": 1}),
        (collections.defaultdict(list, x=[1]), {"x": [1]}),
    ],
)
def test_derived_classes_lose_their_methods(value: Any, expected: Any) -> None:
    found = sent(value)
    assert type(found) is type(expected)
    assert repr(found) == repr(expected)


def test_other_objects_stay_where_they_are() -> None:
    assert sent([object(), lambda: 1, eval, open, iter([])]) == [("object", i) for i in range(5)]


def test_a_value_that_contains_itself_ends() -> None:
    value: list[Any] = []
    value.append(value)
    found, depth = sent(value), 0
    while isinstance(found, list):
        (found,), depth = found, depth + 1
    assert (found, depth) == (("object", 0), MAX_DEPTH + 1)


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"int": "x"},
        {"int": 5},
        {"object": "1"},
        {"object": True},
        {"builtin": "eval"},
        {"builtin": ["len"]},
        {"nothing": 1},
        {"dict": [[[], 1]]},
        {"dict": [1]},
        {"set": [[1]]},
        {"bytes": "0"},
        {"range": [1, 2, 0]},
        {"Fraction": [1, 0]},
        {"Decimal": "one"},
        {"tuple": 1},
        {"list": [], "tuple": []},
    ],
    ids=str,
)
def test_what_is_no_value_is_refused(form: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(form, lambda number: number)
