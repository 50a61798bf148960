"""Python values as JSON, between the program that tests and the program that is tested.

A value of a built-in type, or of a class derived from one, is sent by content: the other side
gets the built-in type, without any method of the class. Everything else is an object that stays
where it is and is known by a number.

    JSON                       value
    null, true, "text", 1.5    the same
    12                         an integer of at most 512 bits
    {"int": "-0x1f…"}          a longer one
    [1, 2]                     a list
    {"tuple": [1, 2]}          likewise "set", "frozenset", "deque"
    {"dict": [[key, value]]}   a dict
    {"bytes": "00ff"}          likewise "bytearray"
    {"complex": [1.0, 2.0]}    likewise "range", "slice", "Fraction"; {"Decimal": "1.5"}
    {"builtin": "len"}         one of `BUILTINS`
    {"object": 3}              an object

Part of programs in a sandbox, so it imports as little as it can.
"""

import builtins
import sys

# For annotations only; the real imports would cost a quarter of a program's time.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Hold = Callable[[Any], int]
    Held = Callable[[int], Any]
    Inner = Callable[[Any], Any]

MAX_DEPTH = 100
_SMALL_INT = 1 << 512
# Types and functions without effects: a program under test may make the other one call them.
BUILTINS = frozenset(
    (
        *("int", "float", "complex", "bool", "str", "bytes", "bytearray", "object", "range"),
        *("list", "tuple", "set", "frozenset", "dict", "len", "abs", "min", "max", "sum"),
        *("sorted", "any", "all", "ord", "chr", "repr", "round", "divmod", "pow", "reversed"),
    )
)
_IMPORTED = (("collections", "deque"), ("fractions", "Fraction"), ("decimal", "Decimal"))


def encode(value: "Any", hold: "Hold", depth: int = 0) -> "Any":
    """Returns the JSON form of a value; `hold` gives the number of an object."""
    if value is None or value is True or value is False:
        return value

    def inner(item: "Any") -> "Any":
        return encode(item, hold, depth + 1)

    if depth <= MAX_DEPTH:
        for kind, encoder in _ENCODERS:
            if isinstance(value, kind):
                return encoder(value, inner)
        for module, name in _IMPORTED:  # a class that is not imported here has no instances here
            imported = getattr(sys.modules.get(module), name, None)
            if isinstance(imported, type) and isinstance(value, imported):
                return _encode_imported(name, value, inner)
        for name in BUILTINS:
            if value is getattr(builtins, name):
                return {"builtin": name}
    return {"object": hold(value)}


def decode(form: "Any", held: "Held") -> "Any":
    """Returns the value of a JSON form; `held` gives what stands for the object of a number.

    Raises:
      ValueError: it is no such form.
    """
    if isinstance(form, list):
        return [decode(item, held) for item in form]
    if not isinstance(form, dict):
        return form
    if len(form) != 1:
        raise ValueError("not a value")
    ((name, content),) = form.items()
    if name == "object" and type(content) is int:
        return held(content)
    if name == "builtin" and isinstance(content, str) and content in BUILTINS:
        return getattr(builtins, content)
    try:
        return _DECODERS[name](content, lambda item: decode(item, held))
    except (KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise ValueError("not a value") from error


def _encode_int(value: int, _: "Inner") -> "Any":
    number = int.__index__(value)
    return number if -_SMALL_INT < number < _SMALL_INT else {"int": hex(number)}


def _encode_dict(value: "dict[Any, Any]", inner: "Inner") -> "Any":
    return {"dict": [[inner(key), inner(item)] for key, item in dict.items(value)]}


def _items(kind: "Any", value: "Any", inner: "Inner") -> "list[Any]":
    return [inner(item) for item in kind.__iter__(value)]


# By class, in the order in which they are tried. The methods are those of the built-in class: what
# a derived class replaces is not called.
_ENCODERS: "tuple[tuple[Any, Callable[[Any, Inner], Any]], ...]" = (
    (int, _encode_int),
    (float, lambda value, _: float.__pos__(value)),
    (str, lambda value, _: str.__str__(value)),
    (list, lambda value, inner: _items(list, value, inner)),
    (tuple, lambda value, inner: {"tuple": _items(tuple, value, inner)}),
    (dict, _encode_dict),
    (set, lambda value, inner: {"set": _items(set, value, inner)}),
    (frozenset, lambda value, inner: {"frozenset": _items(frozenset, value, inner)}),
    (bytes, lambda value, _: {"bytes": bytes.hex(value)}),
    (bytearray, lambda value, _: {"bytearray": bytearray.hex(value)}),
    (complex, lambda value, _: {"complex": [value.real, value.imag]}),
    (range, lambda value, _: {"range": [value.start, value.stop, value.step]}),
    (slice, lambda value, inner: {"slice": [*map(inner, (value.start, value.stop, value.step))]}),
)


def _encode_imported(name: str, value: "Any", inner: "Inner") -> "Any":
    if name == "deque":
        return {name: [inner(item) for item in value]}
    if name == "Fraction":
        return {name: [inner(value.numerator), inner(value.denominator)]}
    return {name: str(value)}


def _decode_deque(content: "Any", inner: "Inner") -> "Any":
    from collections import deque

    return deque(map(inner, content))


def _decode_fraction(content: "Any", inner: "Inner") -> "Any":
    from fractions import Fraction

    return Fraction(*map(inner, content))


def _decode_decimal(content: "Any", _: "Inner") -> "Any":
    from decimal import Decimal

    return Decimal(content)


_DECODERS: "dict[str, Callable[[Any, Inner], Any]]" = {
    "int": lambda content, _: int(content, 16),
    "dict": lambda content, inner: {inner(key): inner(item) for key, item in content},
    "bytes": lambda content, _: bytes.fromhex(content),
    "bytearray": lambda content, _: bytearray.fromhex(content),
    "complex": lambda content, _: complex(*content),
    "range": lambda content, _: range(*content),
    "slice": lambda content, inner: slice(*map(inner, content)),
    "tuple": lambda content, inner: tuple(map(inner, content)),
    "set": lambda content, inner: set(map(inner, content)),
    "frozenset": lambda content, inner: frozenset(map(inner, content)),
    "deque": _decode_deque,
    "Fraction": _decode_fraction,
    "Decimal": _decode_decimal,
}
