"""JSON lines, plain or gzipped: one object a line, its fields mapped to a document's."""

import glob
import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codepretrain.data.document import Document, Skipped
from codepretrain.data.readers.reader import Reader
from codepretrain.errors import UserError


@dataclass(frozen=True, kw_only=True)
class JsonLines(Reader):
    """Files matching the glob `path` (`*.jsonl`, `*.jsonl.gz`); each file is a shard.

    The other options name the fields of a line. Without `id_field` a document's id is
    `<file name>:<line number>`. Lines without the text field are skipped and counted.
    """

    path: str
    text_field: str = "text"
    id_field: str | None = None
    language_field: str | None = None
    license_field: str | None = None

    def shards(self) -> Sequence[str]:
        paths = sorted(glob.glob(str(Path(self.path).expanduser()), recursive=True))
        if not paths:
            raise UserError(f"reader 'jsonl': no file matches path {self.path!r}")
        return paths

    def read(self, shard: str, source: str) -> Iterator[Document | Skipped]:
        opens = gzip.open if shard.endswith(".gz") else open
        try:
            with opens(shard, "rb") as file:
                for number, line in enumerate(file, start=1):
                    if line.strip():
                        yield self._document(line, f"{Path(shard).name}:{number}", source)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise UserError(f"reader 'jsonl': {shard} is damaged: {error}") from error
        except OSError as error:
            raise UserError(f"reader 'jsonl': cannot read {shard}: {error.strerror}") from error

    def _document(self, line: bytes, name: str, source: str) -> Document | Skipped:
        try:
            value = json.loads(line)
        except ValueError:
            return Skipped(name, "not JSON")
        if not isinstance(value, dict) or not isinstance(value.get(self.text_field), str):
            return Skipped(name, f"no text in field {self.text_field!r}")
        return Document(
            id=_optional(value, self.id_field) or name,
            text=value[self.text_field],
            source=source,
            origin=name,
            language=_optional(value, self.language_field),
            license=_optional(value, self.license_field),
        )


def _optional(value: dict[str, Any], field: str | None) -> str | None:
    found = value.get(field) if field else None
    return None if found is None else str(found)
