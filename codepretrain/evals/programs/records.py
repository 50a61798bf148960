"""Records of a benchmark's files: JSON lines, a JSON array, either compressed by gzip, or Parquet.

The form is recognized by the content. A folder stands for the files in it.
"""

import gzip
import io
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath

from codepretrain.errors import UserError
from codepretrain.files.explain import shown
from codepretrain.files.storage import is_dir, is_file, names, parse, read_bytes

_SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".parquet")
_GZIP, _PARQUET = b"\x1f\x8b", b"PAR1"


def read_records(address: str, *, path: str) -> list[dict[str, Any]]:
    """Returns the records at a local path or in an object store, in order.

    Args:
      address: a file, or a folder of files, which are read in the order of their names.
      path: the option that gives the address, for messages.

    Raises:
      UserError: there is no such file, it is damaged, or the package that reads Parquet is missing.
    """
    target = parse(address, name=path)
    records = []
    for file in _files(target, path):
        try:
            found = decode_records(read_bytes(file), path)
        except ValueError as error:
            raise UserError(
                f"{path}: {shown(file)} is damaged or of an unknown form: {error}; expected JSON "
                "lines, a JSON array or Parquet"
            ) from error
        records += found
    if not records:
        raise UserError(f"{path}: {shown(target)} has no records")
    return records


def _files(target: epath.Path, path: str) -> list[epath.Path]:
    if is_file(target):
        return [target]
    if not is_dir(target):
        raise UserError(f"{path}: there is no file or folder {shown(target)}")
    found = [name for name in names(target) if name.endswith(_SUFFIXES)]
    if not found:
        raise UserError(f"{path}: the folder {shown(target)} has no file {', '.join(_SUFFIXES)}")
    return [target / name for name in found]


def decode_records(content: bytes, path: str) -> list[dict[str, Any]]:
    """Returns the records of a file.

    Raises:
      ValueError: the content is damaged.
    """
    if content.startswith(_PARQUET):
        return _parquet_records(content, path)
    if content.startswith(_GZIP):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"gzip: {error}") from error
    text = content.decode("utf-8-sig")
    if text.lstrip().startswith("["):
        values = _json(text, "the array")
    else:
        lines = enumerate(text.split("\n"), start=1)
        values = [_json(line, f"line {number}") for number, line in lines if line.strip()]
    for number, value in enumerate(values, start=1):
        if not isinstance(value, dict):
            raise ValueError(f"record {number} is no object")
    return values


def _json(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{what}: {error}") from error


def _parquet_records(content: bytes, path: str) -> list[dict[str, Any]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise UserError(
            f"{path}: the package `pyarrow` is not installed, which reads Parquet: run "
            "`pip install 'codepretrain[eval]'`, or give the file as JSON lines"
        ) from error
    try:
        return parquet.read_table(io.BytesIO(content)).to_pylist()
    except (ArrowException, OSError) as error:
        raise ValueError(f"Parquet: {error}") from error


def text_field(record: Mapping[str, Any], *fields: str) -> str:
    """Returns the text of the first of these fields that has one.

    Raises:
      ValueError: none has.
    """
    for field in fields:
        if isinstance(record.get(field), str):
            return record[field]
    raise ValueError(f"no text in {' or '.join(fields)}")


def text_list_field(record: Mapping[str, Any], field: str) -> Sequence[str]:
    """Returns the list of texts in a field, empty if there is none.

    Raises:
      ValueError: the field has another value.
    """
    value = record.get(field)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"{field} is no list of texts")
    return value
