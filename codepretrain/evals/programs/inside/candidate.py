"""Runs a candidate program and answers requests about it. Runs in a sandbox of its own.

The candidate shares this process and may read or replace anything in it. Nothing here is worth
that: no test, no expected value, no verdict. It can only give answers, and right answers are what
is asked for.

The first line is sent without a request:

    ["loaded", names]               the names, of those asked for, that the candidate defines
    ["invalid", classes, text]      it is no Python
    ["raised", classes, text]       an exception ended it: the names of its classes, derived first

Then each request is answered by ["value", form, changed] or ["raised", classes, text]. `changed` is
null, or the forms of the arguments after a call that changed one.
"""

import json
import sys

from codepretrain.evals.programs.inside.channel import Channel
from codepretrain.evals.programs.inside.values import decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

MODULE = "solution"
_MAX_TEXT = 200


class Objects:
    """The objects that the other side knows by number."""

    def __init__(self) -> None:
        self._objects: list[Any] = []
        self._numbers: dict[int, int] = {}

    def hold(self, value: "Any") -> int:
        number = self._numbers.setdefault(id(value), len(self._objects))
        if number == len(self._objects):
            self._objects.append(value)
        return number

    def held(self, number: int) -> "Any":
        return self._objects[number]


def described(error: BaseException) -> "list[Any]":
    """Returns the names of the exception's classes and its text."""
    try:
        text = str(error)[:_MAX_TEXT]
    except BaseException:
        text = ""
    return [[kind.__name__ for kind in type(error).__mro__], text]


def load(source: str, names: "list[str]") -> "tuple[list[Any], dict[str, Any]]":
    """Runs the candidate as a module; returns the first line and the module's names."""
    if "random" in source:  # the same numbers on every host
        __import__("random").seed(0)
    module = type(sys)(MODULE)
    sys.modules[MODULE] = module
    try:
        code = compile(source, "<solution>", "exec", dont_inherit=True)
    except BaseException as error:
        return ["invalid", *described(error)], {}
    try:
        exec(code, module.__dict__)
    except BaseException as error:
        return ["raised", *described(error)], {}
    return ["loaded", [name for name in names if name in module.__dict__]], module.__dict__


def _call(function: "Any", arguments: "list[Any]", keywords: "dict[str, Any]") -> "Any":
    return function(*arguments, **keywords)


_OPERATIONS: "dict[str, Callable[..., Any]]" = {
    "itself": lambda target: target,
    "call": _call,
    "get": getattr,
    "set": setattr,
    "iter": iter,
    "next": next,
    "len": len,
    "item": lambda target, key: target[key],
    "bool": bool,
}


def answer(request: "list[Any]", scope: "dict[str, Any]", objects: Objects) -> "list[Any]":
    """Returns the answer to [operation, target, arguments]; the target is a name or a number."""
    operation, target, forms = request
    try:
        arguments = decode(forms, objects.held)
        place = scope[target] if isinstance(target, str) else objects.held(target)
        value = _OPERATIONS[operation](place, *arguments)
        form = encode(value, objects.hold)
        after = encode(arguments, objects.hold)
    except BaseException as error:
        return ["raised", *described(error)]
    return ["value", form, None if after == forms else after]


def main(source: str, names: "list[str]") -> "NoReturn":
    sys.set_int_max_str_digits(0)
    channel, objects = Channel(), Objects()
    first, scope = load(source, names)
    channel.send(json.dumps(first).encode())
    while True:
        request = json.loads(channel.receive())
        channel.send(json.dumps(answer(request, scope, objects)).encode())
