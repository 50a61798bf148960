import ast
import time

import pytest

from codepretrain.data.items.expressions import NotClosed, closed_expressions, value_of

CLOSED = [
    "24 * 3 + 1",
    "-7 // 2 ** 3 % 5 << 2 | 1",
    "[1, 2.5, 'a', None, (True,), {'k': b'v'}]",
    "{1: 'a'}[1] + 'bcd'[::-1] + 'xyz'[1:]",
    "len('abc') + sum([1, 2], 10) - max(3, 4)",
    "sorted(['b', 'a'], reverse=True)",
    "', '.join(['a', 'b']).upper().split(',')",
    "1 < 2 < 3 and not 'a' in 'bc' or 0",
    "'a' if [] else 'b'",
    "dict(a=1, b=[2]).items()",
    "'%s=%05.2f' % ('x', 1.5)",
    "divmod(17, 5)",
    "'naïve'.encode('utf-8').hex()",
    "1 or 2",
    "'' or 0 or []",
]
NOT_CLOSED = [
    "x + 1",
    "f(1)",
    "len",
    "[i for i in (1, 2)]",
    "lambda: 1",
    "'a'.__class__",
    "(1).__class__",
    "'{0.__class__}'.format(1)",
    "f'{1}'",
    "open('f')",
    "__import__('os')",
    "eval('1')",
    "{1, 2}",
    "[*[1]]",
    "dict(**{'a': 1})",
    "1 / 0",
    "[1][5]",
    "int('x')",
    "'a' + 1",
    "[].append(1)",
    "'a'.center(10 ** 9)",
    "(1).bit_length()",
    "...",
    "sorted([1], key=len)",
    "map(len, [])",
]
LARGE = [
    "9 ** 9 ** 9",
    "10 ** 10000",
    "2 ** 2 ** 2 ** 2 ** 2 ** 2",
    "1 << 10 ** 9",
    "'a' * 10 ** 9",
    "10 ** 9 * [0]",
    "b'a' * 5000",
    "bytes(10 ** 9)",
    "bytes(source=10 ** 9)",
    "'%1000000000d' % 1",
    "'%.999999999f' % 1",
    "'%*d' % (10 ** 9, 1)",
    "'%(a)999999999d' % {'a': 1}",
    "'{:>999999999}'.format(1)",
    "'a'.ljust(10 ** 9)",
    "'\\t'.expandtabs(10 ** 9)",
    "[[[[0] * 900] * 900] * 900] * 900",
    "('x' * 900).replace('x', 'y' * 900)",
    "round(1e308) * round(1e308) * round(1e308) * round(1e308) ** 64",
]


def parse(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


@pytest.mark.parametrize("text", CLOSED)
def test_values_are_pythons_own(text) -> None:
    value = eval(text)
    expected = list(value) if isinstance(value, type({}.items())) else value
    assert repr(value_of(parse(text))) == repr(expected)


@pytest.mark.parametrize("text", NOT_CLOSED)
def test_what_needs_more_than_itself_has_no_value(text) -> None:
    with pytest.raises(NotClosed):
        value_of(parse(text))


@pytest.mark.parametrize("text", LARGE)
def test_nothing_large_is_ever_made(text) -> None:
    start = time.process_time()
    with pytest.raises(NotClosed):
        value_of(parse(text))
    assert time.process_time() - start < 5, "this test would otherwise hang, not be slow"


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(NotClosed):
        value_of(parse("+".join(["1"] * 700)))


def test_the_largest_closed_expressions_are_found() -> None:
    code = "x = f([1, 2], y + 3 * 4)\nz = -5\nw = (1, (2, 3))\nn = 'text'\nq = [a, [7]]\n"
    found = {ast.unparse(node) for node in closed_expressions(ast.parse(code))}
    assert found == {"[1, 2]", "3 * 4", "(1, (2, 3))", "[7]"}
