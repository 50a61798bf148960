"""Tests of a benchmark see the candidate as if it were in their own process."""

import pytest

from codepretrain.evals.programs.grade import grade
from codepretrain.evals.programs.trial import Trial
from tests.evals.programs.conftest import QUICK

SOURCE = """\
from __future__ import annotations
import collections, dataclasses

@dataclasses.dataclass
class Node:
    value: int
    left: Node | None = None
    def depth(self): return 1 + (self.left.depth() if self.left else 0)

class Custom(ValueError):
    pass

LIMIT = 3
def sort(items): items.sort(); return items
def fill(mapping, keys): mapping.update(dict.fromkeys(keys, 0))
def nested(rows): rows[0].append(9)
def numbers():
    yield from (1, 2, 3)
def endless():
    i = 0
    while True:
        yield i
        i += 1
def adder(n): return lambda x: x + n
def fail(kind): raise {"value": ValueError, "key": KeyError, "custom": Custom}[kind]("why")
def shout(text): print(text); return text.upper()
def asks(): return input()
def apply(f, x): return f(x)
def same(x): return x
def who(): return __name__
def stop(x): raise StopIteration
class Bag:
    def __init__(self, items): self.items = items
    def __len__(self): return len(self.items)
    def __getitem__(self, i): return self.items[i]
    def __iter__(self): return iter(self.items)
    def __bool__(self): return bool(self.items)
if __name__ == "__main__":
    raise SystemExit("not the main module")
"""
NAMES = (
    *("Node", "Custom", "LIMIT", "sort", "fill", "nested", "numbers", "endless", "adder", "fail"),
    *("shout", "asks", "apply", "same", "who", "Bag", "stop"),
)

PASSES = {
    "values": "assert shout('a') == 'A' and LIMIT == 3",
    "objects": "n = Node(1)\nn.left = Node(2)\nassert n.depth() == 2 and n.left.value == 2",
    "identity": "n = Node(1)\nassert same(n) is n and same(n) == n and n != Node(1)",
    "keywords": "assert Node(value=4).value == 4",
    "changed arguments": "x = [3, 1]\nassert sort(x) == [1, 3]\nassert x == [1, 3]",
    "changed mapping": "d = {}\nfill(d, 'ab')\nassert d == {'a': 0, 'b': 0}",
    "changed within": "row = [1]\nrows = [row, 2]\nnested(rows)\nassert row == [1, 9]",
    "generators": "assert list(numbers()) == [1, 2, 3] and sum(numbers()) == 6",
    "next": "i = endless()\nassert [next(i) for _ in range(3)] == [0, 1, 2]",
    "functions": "assert adder(2)(3) == 5",
    "builtins as arguments": "assert apply(len, [1, 2]) == 2 and apply(same, 4) == 4",
    "containers": "b = Bag([1, 2])\nassert len(b) == 2 == b[1] and 2 in b and b and not Bag([])",
    "exceptions": "try: fail('key')\nexcept KeyError: pass\nelse: assert False",
    "own exceptions": "try: fail('custom')\nexcept ValueError as e: assert 'why' in str(e)",
    "inherited names": "assert who() == 'solution'",
    "comprehensions": "assert [same(x) for x in range(3)] == [0, 1, 2]",
    "unordered": "assert same({1, 2}) == {2, 1}",
    "many values": "assert same(list(range(10000))) == list(range(10000))",
    "large integers": "assert same(10 ** 5000) == 10 ** 5000",
    "half surrogates": "assert same('\\ud800') == '\\ud800'",
}


@pytest.mark.parametrize("name", PASSES)
def test_a_test_passes(name: str) -> None:
    found = grade(Trial(source=SOURCE, setup="", tests=PASSES[name], names=NAMES), limits=QUICK)
    assert found.passed, found


@pytest.mark.parametrize(
    ("tests", "reason", "exception"),
    [
        ("assert shout('a') == 'a'", "wrong", "AssertionError"),
        ("assert same([1]) == (1,)", "wrong", "AssertionError"),
        ("assert numbers() == [1, 2, 3]", "wrong", "AssertionError"),
        ("assert Node(1) == Node(1)", "wrong", "AssertionError"),  # objects equal themselves only
        ("assert abs(same(None) - 1) < 1", "error", "TypeError"),
        ("fail('value')", "error", "ValueError"),
        ("fail('custom')", "error", "Custom"),
        ("asks()", "error", "EOFError"),
        ("assert undefined() == 1", "error", "NameError"),
        ("assert helper(1) == 1", "error", "NameError"),  # not among the names
        ("apply(lambda x: x, 1)", "error", "TypeError"),
        ("assert all(map(stop, [1, 2]))", "error", "RuntimeError"),
        ("import itertools\nlist(itertools.repeat(same(1)))", "memory", "MemoryError"),
    ],
)
def test_a_test_fails_with_its_reason(tests: str, reason: str, exception: str | None) -> None:
    source = f"{SOURCE}\ndef helper(x): return x\n"
    found = grade(Trial(source=source, setup="", tests=tests, names=NAMES), limits=QUICK)
    assert (found.reason, found.exception) == (reason, exception)


def test_names_of_the_setup_are_not_the_candidates_to_replace() -> None:
    setup = "import math\ndef helper(x): return x + 1\ndef f(x): return 0\n"
    tests = "assert helper(f(1)) == 3\nassert math.isclose(f(1), 2)"
    source = "math = helper = None\ndef f(x): return x + 1"
    found = grade(Trial(source=source, setup=setup, tests=tests, names=("f",)), limits=QUICK)
    assert found.passed, found
    found = grade(Trial(source="x = 1", setup=setup, tests=tests, names=("f",)), limits=QUICK)
    assert (found.reason, found.exception) == ("error", "NameError")


def test_random_numbers_are_the_same_each_time() -> None:
    source = "import random\nfirst = random.random()\ndef f(): return first"
    tests = "assert f() == 0.8444218515250481"
    found = grade(Trial(source=source, setup="", tests=tests, names=("f",)), limits=QUICK)
    assert found.passed, found
