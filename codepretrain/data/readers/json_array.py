"""Values of a file that is one JSON array, or several values one after another, streamed."""

import codecs
import json
import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

from codepretrain.data.document import Skipped
from codepretrain.data.readers.compression import DamagedFileError, read_unpacked
from codepretrain.data.readers.lines import DAMAGED
from codepretrain.errors import UserError
from codepretrain.files.storage import StrPath

MAX_VALUE_CHARS = 2**26

NOT_JSON = "not JSON: the rest of the file"
TOO_LONG = "value longer than 64 MiB: the rest of the file"

_BETWEEN = re.compile("[ \t\r\n,[\\]\ufeff]*+")
_NOT_UTF8 = re.compile("[\udc80-\udcff]")


def read_values(path: StrPath) -> Iterator[tuple[int, Any | Skipped]]:
    """Yields the values with their numbers from 1; arrays at the top level are taken apart.

    A value that is no object, or not UTF-8, is skipped. What follows broken JSON cannot be read:
    the last item says so. Pages of a listing that were written one after another, `[…][…]`, are
    read as one.

    Raises:
      UserError: the file is missing or unreadable.
    """
    number = 1
    buffer = _Buffer()
    try:
        for chunk in chain(read_unpacked(path), [None]):
            buffer.add(chunk)
            for value in buffer.values():
                yield (
                    number,
                    Skipped(f"{path}:{number}", value) if isinstance(value, str) else value,
                )
                number += 1
            if buffer.num_chars > MAX_VALUE_CHARS:
                yield number, Skipped(f"{path}:{number}", TOO_LONG)
                return
    except DamagedFileError:
        yield number, Skipped(f"{path}:{number}", DAMAGED)
    except UserError:
        raise
    except (ValueError, RecursionError):
        yield number, Skipped(f"{path}:{number}", NOT_JSON)


class _Buffer:
    """Text that is not parsed yet. A value that is not whole is tried again at twice the length."""

    def __init__(self) -> None:
        self._text = ""
        self._is_end = False
        self._retry_at = 0
        # Bytes that are not UTF-8 become lone surrogates, so only their value is lost.
        self._decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode
        self._parse = json.JSONDecoder().raw_decode

    @property
    def num_chars(self) -> int:
        return len(self._text)

    def add(self, chunk: bytes | None) -> None:
        """Adds bytes; None is the end of the file."""
        self._is_end = chunk is None
        self._text += self._decode(chunk or b"", final=self._is_end)

    def values(self) -> Iterator[dict[str, Any] | str]:
        """Yields the objects that are whole, and for other values why they are skipped.

        Raises:
          ValueError: what the file ends with is no JSON.
        """
        if not self._is_end and len(self._text) < self._retry_at:
            return
        start = self._next(0)
        try:
            while start < len(self._text):
                value, end = self._parse(self._text, start)
                if end == len(self._text) and not (self._is_end or isinstance(value, dict)):
                    break  # a number may go on in the next chunk
                yield self._checked(value, start, end)
                start = self._next(end)
        except ValueError:
            if self._is_end:
                raise
        self._text = self._text[start:]
        self._retry_at = 2 * len(self._text)

    def _next(self, start: int) -> int:
        found = _BETWEEN.match(self._text, start)
        assert found is not None
        return found.end()

    def _checked(self, value: Any, start: int, end: int) -> dict[str, Any] | str:
        if _NOT_UTF8.search(self._text, start, end):
            return "not UTF-8"
        return value if isinstance(value, dict) else "not a JSON object"
