"""Fields that options name: a misspelled one is told before anything is read.

Only the beginning of one file is looked at, so a field that no record there has is taken for
misspelled.
"""

from collections.abc import Iterator, Mapping
from itertools import islice

from codepretrain.data.document import Skipped
from codepretrain.data.readers.lines import read_lines
from codepretrain.data.readers.parquet import column_names
from codepretrain.data.readers.reader import RawFile
from codepretrain.data.readers.records import json_object
from codepretrain.errors import UserError

_LINES_LOOKED_AT = 100
_OTHER_LINES = f", nor has any other of the first {_LINES_LOOKED_AT} lines"


def check_fields(file: RawFile, named: Mapping[str, str | None], *, reader: str) -> None:
    """Raises UserError if a file has none of some fields. Files without records pass.

    Args:
      named: the field by the option that names it, None for options that are not set.
      reader: the reader's name, for messages.
    """
    fields = {option: field for option, field in named.items() if field}
    if not fields:
        return
    is_parquet = file.name.endswith(".parquet")
    first: tuple[str, list[str]] | None = None
    for place, names in _columns(file) if is_parquet else _lines(file):
        if not set(names).isdisjoint(fields.values()):
            return
        first = first or (place, names)
    if first is not None:
        place, names = first
        raise UserError(
            f"reader {reader!r}: {place} has no field {' or '.join(map(repr, fields.values()))}"
            f"{'' if is_parquet else _OTHER_LINES}; its fields are: {', '.join(names)[:200]}; "
            f"set the option {' or '.join(fields)}"
        )


def _columns(file: RawFile) -> Iterator[tuple[str, list[str]]]:
    names = column_names(file)
    if names:
        yield file.path, sorted(names)


def _lines(file: RawFile) -> Iterator[tuple[str, list[str]]]:
    for number, line in islice(read_lines(file.path), _LINES_LOOKED_AT):
        value = line if isinstance(line, Skipped) else json_object(line, file.path)
        if not isinstance(value, Skipped):
            yield f"{file.path} line {number}", sorted(value)
