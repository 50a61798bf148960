"""Raw files by path or glob, on a local file system or in an object store."""

import glob
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from codepretrain.data.document import Skipped
from codepretrain.data.readers.reader import (
    MAX_FILE_BYTES,
    TOO_LARGE,
    MissingCorpusError,
    RawFile,
    decoded,
    read_utf8,
)
from codepretrain.errors import UserError
from codepretrain.files.storage import is_local, parse, read_bytes, size, sizes_below


def raw_files(pattern: str, *, reader: str, option: str = "path") -> Sequence[RawFile]:
    """Returns the readable files that a path or a glob matches, by path.

    `**` matches folders at any depth, and at the end of a pattern every file below; on a local file
    system links to folders are not followed there. Wildcards do not match a dot that begins a name.
    In an object store the listing is that of the folder above the first wildcard.

    Args:
      reader: the reader's name, for messages.
      option: the reader's option that gave the pattern, for messages.

    Raises:
      UserError: no file matches, or one cannot be read.
    """
    if is_local(pattern):
        expanded = os.path.abspath(os.path.expanduser(pattern))
        is_file = os.path.isfile(expanded)  # whatever brackets its name contains
        paths = [expanded] if is_file else sorted(filter(os.path.isfile, _matches(expanded)))
        unreadable = [path for path in paths if not os.access(path, os.R_OK)]
        if unreadable:
            raise UserError(
                f"reader {reader!r}: cannot read {unreadable[0]}: no permission"
                + (f" (nor {len(unreadable) - 1} others)" if len(unreadable) > 1 else "")
            )
        folder = os.path.dirname(expanded) if is_file else fixed_folder(expanded)
        found = [RawFile(path, file_name(os.path.relpath(path, folder))) for path in paths]
    else:
        found = _stored(pattern, reader, option)
    if not found:
        raise MissingCorpusError(f"reader {reader!r}: no file matches {option} {pattern!r}")
    return found


def file_name(path: str) -> str:
    """Returns a path as a name that has UTF-8: bytes of it that have none are written `\\xff`."""
    return os.fsencode(path).decode(errors="backslashreplace")


def read_text_file(file: RawFile, origin: str) -> str | Skipped:
    """Returns the text of a local or stored file that is one document, or why it is skipped."""
    if is_local(file.path):
        return read_utf8(file.path, origin)
    if size(file.path) > MAX_FILE_BYTES:
        return Skipped(origin, TOO_LARGE)
    return decoded(read_bytes(file.path), origin)


def _stored(pattern: str, reader: str, option: str) -> list[RawFile]:
    address = os.fspath(parse(pattern, name=f"reader {reader!r}: {option}"))
    folder = fixed_folder(address)
    matches = re.compile(_expression(address.removeprefix(folder).lstrip("/"))).fullmatch
    names = sorted(name for name in sizes_below(folder) if matches(name))
    return [RawFile(f"{folder}/{name}", name) for name in names]


def _expression(pattern: str) -> str:
    """Returns a glob as a regular expression. Only `**` matches a slash."""
    *folders, last = pattern.split("/")
    below = r"(?:(?!\.)[^/]+/)*"
    expressions = [below if part == "**" else f"{_name(part)}/" for part in folders]
    return "".join([*expressions, below + _name("?*") if last == "**" else _name(last)])


def _name(pattern: str) -> str:
    """Returns a glob for one file or folder as a regular expression."""
    wildcards = {"*": "[^/]*", "?": "[^/]"}
    parts = [
        wildcards.get(part)
        or (part.replace("[!", "[^", 1) if re.fullmatch(r"\[.+\]", part) else re.escape(part))
        for part in re.split(r"(\*|\?|\[!?[^\]]+\])", pattern)
    ]
    return ("" if pattern.startswith(".") else r"(?!\.)") + "".join(parts)


def _matches(pattern: str) -> Iterator[str]:
    """Yields the paths that a glob matches; below `**`, links to folders are not followed."""
    parts = Path(pattern).parts
    if "**" not in parts:
        yield from glob.iglob(pattern)
        return
    depth = parts.index("**")
    root, rest = Path(*parts[:depth]), Path(*parts[depth:])
    if rest.name == "**":  # which matches folders only
        rest /= "*"
    matches = re.compile(_expression("/".join(parts[depth:]))).fullmatch
    for top in glob.iglob(str(root)):
        for path in Path(top).glob(str(rest)):
            if matches(path.relative_to(top).as_posix()):
                yield str(path)


def fixed_folder(pattern: str) -> str:
    """Returns the folder of a glob that is above its first wildcard."""
    folder = os.path.dirname(pattern)
    while glob.has_magic(folder):
        folder = os.path.dirname(folder)
    return folder or "."
