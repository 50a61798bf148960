"""The exceptions that end a command, and formatting of a message as one short line."""

import re
from collections.abc import Callable

MAX_WORD = 300
MAX_LINE = 4000
_LONG_WORD = re.compile(rf"\S{{{MAX_WORD + 1},}}")
_KEPT = MAX_WORD // 2  # of a long word: its beginning and its end


class UserError(ValueError):
    """States what is wrong, what was expected, what was found and how to fix it, in one line.

    The command line prints only the message and exits with code 2.

    Attributes:
      cause: what the message is about, for a supervisor (`launch/records.py` lists the causes).
      is_cascade: the cause is in another process of the run, which raises it too.
    """

    cause = "user_error"
    is_cascade = False


class DivergenceError(UserError):
    """Training diverged."""

    cause = "divergence"


class DamageError(UserError):
    """Stored data differs from what was written, is lost, or was computed incorrectly."""

    cause = "damage"


class PassingError(UserError):
    """Another try may succeed: a folder is in use, a process of an earlier attempt is alive."""

    cause = "crash"


class AbsentPeersError(UserError):
    """Other processes of the run did not come, or left while this one joined them."""

    cause = "lost_host"
    is_cascade = True


def user_error(message: str, *, cause: str) -> UserError:
    """Returns a UserError of another process, given its message and cause."""
    kinds = {kind.cause: kind for kind in (DivergenceError, DamageError, PassingError)}
    error = kinds.get(cause, UserError)(message)
    error.is_cascade = True
    return error


class PeerError(RuntimeError):
    """Another process failed for a reason that is not a user's mistake; it reports the details."""


class Interrupted(KeyboardInterrupt):
    """A signal asked this process, or another one of the run, to stop.

    A KeyboardInterrupt, so that libraries let it pass and clean up as they do for Ctrl-C.
    """

    def __init__(self, signal_number: int, message: str) -> None:
        super().__init__(message)
        self.signal_number = signal_number


class PeerStopped(KeyboardInterrupt):
    """Another process of the run has ended, and this one ends with the same exit code."""

    def __init__(self, exit_code: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def one_line(message: str) -> str:
    """Returns a message as one line of printable text; overlong parts are shortened.

    A message may quote anything: an argument of 5,000 letters, a file's name with a newline in it,
    the text of another library's error.

    >>> one_line("cannot read a\\nb")
    'cannot read a b'
    """
    words = " ".join(message.split())
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in words)
    text = _LONG_WORD.sub(lambda match: _cut(match[0], _KEPT), text)
    return text if len(text) <= MAX_LINE else _cut(text, MAX_LINE // 2)


def quoted(value: object, *, max_length: int = 80) -> str:
    """Returns `repr(value)` for a message, shortened; never raises.

    >>> quoted("x" * 100, max_length=20)
    "'xxxxxxxxx…xxxxxxxx'"
    """
    text = _safely(repr, value)
    half = max_length // 2
    return text if len(text) <= max_length else f"{text[:half]}…{text[-half + 1 :]}"


def described(error: BaseException) -> str:
    """Returns an exception's type and text for a message; never raises."""
    text = _safely(str, error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _cut(text: str, kept: int) -> str:
    return f"{text[:kept]}…({len(text):,} characters)…{text[-kept:]}"


def _safely(function: Callable[[object], str], value: object) -> str:
    try:
        return function(value)
    except Exception:  # a broken __repr__ or __str__, an int of too many digits, deep recursion
        return f"<{type(value).__name__}>"
