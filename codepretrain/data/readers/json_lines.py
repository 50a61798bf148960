"""JSON lines, plain or gzipped: one document per line."""

import glob
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from codepretrain.data.document import Document, Skipped
from codepretrain.data.readers.lines import read_lines
from codepretrain.data.readers.reader import MissingCorpusError, RawFile, Reader
from codepretrain.errors import UserError

_LINES_LOOKED_AT = 100


@dataclass(frozen=True, kw_only=True)
class JsonLines(Reader):
    """Files matching the glob `path` (`*.jsonl`, `*.jsonl.gz`); each file is a shard.

    The other options name the fields of a line. Without `id_field` a document's id is
    `<file>:<line number>`, where the file is relative to the folder in which the glob's wildcards
    begin. Lines without the text field are skipped and counted. `**` matches folders at any depth;
    links to folders are not followed there.
    """

    path: str
    text_field: str = "text"
    id_field: str | None = None
    language_field: str | None = None
    license_field: str | None = None

    def shards(self) -> Sequence[str]:
        found = _matches(os.path.expanduser(self.path))
        paths = sorted(path for path in found if os.path.isfile(path))
        if not paths:
            raise MissingCorpusError(f"reader 'jsonl': no file matches path {self.path!r}")
        unreadable = [path for path in paths if not os.access(path, os.R_OK)]
        if unreadable:
            raise UserError(
                f"reader 'jsonl': cannot read {unreadable[0]}: no permission"
                + (f" (nor {len(unreadable) - 1} others)" if len(unreadable) > 1 else "")
            )
        self._check_text_field(paths)
        return paths

    def files(self, shard: str) -> Sequence[RawFile]:
        return [RawFile(name=self._name(shard), path=shard)]

    def read(self, shard: str, source: str) -> Iterator[Document | Skipped]:
        file = self._name(shard)
        for number, line in read_lines(shard):
            if line.strip():
                yield self._document(line, f"{shard}:{number}", f"{file}:{number}", source)

    def _name(self, shard: str) -> str:
        return os.path.relpath(shard, _fixed_folder(os.path.expanduser(self.path)))

    def _check_text_field(self, paths: Sequence[str]) -> None:
        """Raises UserError if none of the first lines has the text field: it is misspelled."""
        first: tuple[str, list[str]] | None = None
        for number, line in islice(read_lines(paths[0]), _LINES_LOOKED_AT):
            place = f"{paths[0]} line {number}"
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if not isinstance(value, dict):
                continue
            if self.text_field in value:
                return
            first = first or (place, sorted(map(str, value)))
        if first is not None:
            place, fields = first
            raise UserError(
                f"reader 'jsonl': {place} has no field {self.text_field!r}, nor has any other of "
                f"the first {_LINES_LOOKED_AT} lines; its fields are: {', '.join(fields)[:200]}; "
                "set the option text_field"
            )

    def _document(self, line: bytes, origin: str, name: str, source: str) -> Document | Skipped:
        """origin: the line and its file's whole path, for what is skipped. name: the short form."""
        try:
            value = json.loads(line.decode("utf-8-sig"))
        except UnicodeDecodeError:
            return Skipped(origin, "not UTF-8")
        except (ValueError, RecursionError):
            return Skipped(origin, "not JSON")
        if not isinstance(value, dict):
            return Skipped(origin, "not a JSON object")
        if self.text_field not in value:
            return Skipped(origin, f"no field {self.text_field!r}")
        text = value[self.text_field]
        if not isinstance(text, str):
            return Skipped(origin, f"field {self.text_field!r} is not text")
        return Document(
            id=_optional(value, self.id_field) or name,
            text=text,
            source=source,
            origin=name,
            language=_optional(value, self.language_field),
            license=_optional(value, self.license_field),
        )


def _matches(pattern: str) -> list[str]:
    """Returns the paths that a glob matches; below `**`, links to folders are not followed."""
    parts = Path(pattern).parts
    if "**" not in parts:
        return glob.glob(pattern)
    depth = parts.index("**")
    root, rest = Path(*parts[:depth]), str(Path(*parts[depth:]))
    tops = glob.glob(str(root)) if depth else ["."]
    return [str(path) for top in tops for path in Path(top).glob(rest)]


def _fixed_folder(pattern: str) -> str:
    """Returns the folder of a glob that is above its first wildcard."""
    folder = os.path.dirname(pattern)
    while glob.has_magic(folder):
        folder = os.path.dirname(folder)
    return folder or "."


def _optional(value: dict[str, Any], field: str | None) -> str | None:
    found = value.get(field) if field else None
    return None if found is None else str(found)
