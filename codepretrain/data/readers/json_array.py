"""Values of a file that is one JSON array, or several values one after another, streamed."""

import codecs
import json
from collections.abc import Iterator
from typing import Any

from codepretrain.data.document import Skipped
from codepretrain.data.readers.compression import DamagedFileError, read_unpacked
from codepretrain.data.readers.lines import DAMAGED
from codepretrain.errors import UserError
from codepretrain.files.storage import StrPath

MAX_VALUE_CHARS = 2**26

NOT_JSON = "not JSON: the rest of the file"
TOO_LONG = "value longer than 64 MiB: the rest of the file"

_BETWEEN = " \t\r\n,[]\ufeff"


def read_values(path: StrPath) -> Iterator[tuple[int, Any | Skipped]]:
    """Yields the values with their numbers from 1; arrays at the top level are taken apart.

    What follows damage cannot be read: the last item says why. Pages of a listing that were
    written one after another, `[…][…]`, are read as one.

    Raises:
      UserError: the file is missing or unreadable.
    """
    number = 1
    buffer = _Buffer()
    try:
        decoder = codecs.getincrementaldecoder("utf-8")()
        for chunk in read_unpacked(path):
            buffer.add(decoder.decode(chunk))
            for value in buffer.values(is_end=False):
                yield number, value
                number += 1
            if buffer.num_chars > MAX_VALUE_CHARS:
                yield number, Skipped(f"{path}:{number}", TOO_LONG)
                return
        buffer.add(decoder.decode(b"", final=True))
        for value in buffer.values(is_end=True):
            yield number, value
            number += 1
    except DamagedFileError:
        yield number, Skipped(f"{path}:{number}", DAMAGED)
    except UnicodeDecodeError:
        yield number, Skipped(f"{path}:{number}", "not UTF-8: the rest of the file")
    except UserError:
        raise
    except (ValueError, RecursionError):
        yield number, Skipped(f"{path}:{number}", NOT_JSON)


class _Buffer:
    """Text that is not parsed yet. A value that is not whole is tried again at twice the length."""

    def __init__(self) -> None:
        self._text = ""
        self._retry_at = 0
        self._decoder = json.JSONDecoder()

    @property
    def num_chars(self) -> int:
        return len(self._text)

    def add(self, text: str) -> None:
        self._text += text

    def values(self, *, is_end: bool) -> Iterator[Any]:
        """Yields the whole values in the text. Raises ValueError at the end for a cut one."""
        if not is_end and len(self._text) < self._retry_at:
            return
        start = 0
        try:
            while rest := self._text[start : start + 1]:
                if rest in _BETWEEN:
                    start += 1
                    continue
                if rest != "{":  # a number could go on in the next chunk
                    raise NotObjectError
                value, start = self._decoder.raw_decode(self._text, start)
                yield value
        except NotObjectError:
            raise ValueError from None
        except ValueError:
            if is_end:
                raise
        self._text = self._text[start:]
        self._retry_at = 2 * len(self._text)


class NotObjectError(ValueError):
    """A value is not an object."""
