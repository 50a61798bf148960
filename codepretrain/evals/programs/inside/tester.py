"""Runs the tests of a problem on a candidate in another process. Runs in a sandbox of its own.

The tests call the candidate as if it were here. What stands for it is a `Remote`: using it sends a
request and waits for the answer. Only data comes back, so the comparisons of the tests are made by
the built-in types of this process; a `Remote` equals only itself.

Lines begin with a letter: `C` with a request to the candidate (`candidate.py`), `V` with the
verdict, which ends the program: [reason, name of the exception or null, text].
"""

import builtins
import json
import sys

from codepretrain.evals.programs.inside.channel import Channel
from codepretrain.evals.programs.inside.values import decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, NoReturn

_MAX_TEXT = 200


class BadAnswer(Exception):
    """The candidate's process answered something that is no answer."""


class Candidate:
    """The other end of the requests."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._remotes: dict[int, Remote] = {}

    def ask(self, operation: str, target: "str | int", *arguments: "Any") -> "Any":
        """Returns the value of an operation, or raises what it raised.

        Arguments that the candidate changed are changed here too.
        """
        forms = encode(list(arguments), self._number)
        request = json.dumps([operation, target, forms])
        self._channel.send(b"C" + request.encode())
        try:
            kind, *details = json.loads(self._channel.receive())
            if kind == "value":
                form, after = details
                value = decode(form, self._remote)
                changed = None if after is None else decode(after, self._remote)
                if changed is not None and len(changed) != len(arguments):
                    raise ValueError("not the same arguments")
            else:
                classes, text = details
                error = _exception([str(name) for name in classes], str(text))
        except (ValueError, TypeError, RecursionError) as problem:
            raise BadAnswer("not an answer") from problem
        if kind != "value":
            if isinstance(error, StopIteration) and operation != "next":
                # `all(map(candidate, …))` would take it for the end of the inputs.
                raise RuntimeError("the candidate raised StopIteration") from error
            raise error
        if changed is not None:
            for ours, theirs in zip(arguments, changed, strict=True):
                replace_content(ours, theirs)
        return value

    def named(self, name: str) -> "Any":
        """Returns what the candidate defines under a name."""
        return self.ask("itself", name)

    def _number(self, value: "Any") -> int:
        if type(value) is not Remote:
            raise TypeError(f"a test cannot pass a {type(value).__name__} to the candidate")
        return value.__dict__["_number"]

    def _remote(self, number: int) -> "Remote":
        return self._remotes.setdefault(number, Remote(self, number))


class Remote:
    """An object of the candidate's process."""

    def __init__(self, candidate: Candidate, number: int) -> None:
        self.__dict__.update(_candidate=candidate, _number=number)

    def _ask(self, operation: str, *arguments: "Any") -> "Any":
        return self.__dict__["_candidate"].ask(operation, self.__dict__["_number"], *arguments)

    def __call__(self, *arguments: "Any", **keywords: "Any") -> "Any":
        return self._ask("call", list(arguments), keywords)

    def __getattr__(self, name: str) -> "Any":
        return self._ask("get", name)

    def __setattr__(self, name: str, value: "Any") -> None:
        self._ask("set", name, value)

    def __iter__(self) -> "Iterator[Any]":
        iterator = self._ask("iter")
        while True:
            try:
                yield next(iterator)
            except StopIteration:
                return

    def __next__(self) -> "Any":
        return self._ask("next")

    def __len__(self) -> int:
        return self._ask("len")

    def __getitem__(self, key: "Any") -> "Any":
        return self._ask("item", key)

    def __bool__(self) -> bool:
        return self._ask("bool") is True

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return self.__dict__["_number"]


def replace_content(ours: "Any", theirs: "Any") -> None:
    """Gives a mutable value the content of another one, as if it had been changed in place."""
    if type(ours) is not type(theirs):
        return
    if isinstance(ours, list | bytearray):
        if type(ours) is list and len(ours) == len(theirs):
            for i, item in enumerate(theirs):
                if type(ours[i]) in (list, dict, set, bytearray) and type(item) is type(ours[i]):
                    replace_content(ours[i], item)
                else:
                    ours[i] = item
        else:
            ours[:] = theirs
    elif isinstance(ours, dict | set):
        ours.clear()
        ours.update(theirs)


def _exception(classes: "list[str]", text: str) -> BaseException:
    """Returns an exception of the first class that is built in."""
    for name in [*classes, "Exception"]:
        kind = getattr(builtins, name, None)
        if isinstance(kind, type) and issubclass(kind, BaseException):
            try:
                error = kind(text)
            except TypeError:  # such as UnicodeDecodeError
                continue
            error.__dict__["candidate_raised"] = classes[0] if classes else name
            return error
    raise ValueError("no classes")


def verdict(error: BaseException) -> "list[Any]":
    """Returns the verdict on tests that ended with an exception."""
    text = str(error)[:_MAX_TEXT]
    raised = error.__dict__.get("candidate_raised")
    if raised is None and isinstance(error, AssertionError):
        return ["wrong", "AssertionError", text]
    return ["error", raised or type(error).__name__, text]


def main(setup: str, tests: str, names: "list[str]", defined: "list[str]") -> "NoReturn":
    """Runs the tests and sends the verdict.

    Args:
      setup: runs before the candidate's names are there.
      names: of the candidate that the tests use.
      defined: those that it defines.
    """
    sys.set_int_max_str_digits(0)
    channel = Channel()
    candidate = Candidate(channel)
    scope: dict[str, Any] = {"__name__": "tests"}
    try:
        exec(compile(setup, "<setup>", "exec", dont_inherit=True), scope)
        code = compile(tests, "<tests>", "exec", dont_inherit=True)
    except BaseException as error:
        channel.send(b"V" + json.dumps(["unusable", type(error).__name__, str(error)]).encode())
        raise SystemExit from None
    for name in names:
        scope.pop(name, None)
    try:
        for name in defined:
            scope[name] = candidate.named(name)
        exec(code, scope)
    except BaseException as error:
        result = verdict(error)
    else:
        result = ["passed", None, ""]
    channel.send(b"V" + json.dumps(result).encode())
    raise SystemExit
