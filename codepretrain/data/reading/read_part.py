"""Reads one part of a source: raw files to documents, cut by the reader's limits and filtered."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from array_record.python.array_record_module import ArrayRecordWriter
from etils import epath

from codepretrain.data.document import Document, Skipped
from codepretrain.data.filters.chain import apply_filters
from codepretrain.data.filters.drop_report import DropReport
from codepretrain.data.filters.filter import Filter, Redactor
from codepretrain.data.keys import KeysWriter, text_digest
from codepretrain.data.readers.reader import RawFile, Reader
from codepretrain.data.reading.checksums import versions
from codepretrain.data.reading.document_parts import (
    DOCUMENTS,
    FORMAT_VERSION,
    DocumentsPart,
    PartManifest,
    load_part,
)
from codepretrain.data.reading.inventory import INVENTORY, Inventory
from codepretrain.errors import UserError
from codepretrain.files.directory import is_whole, whole_directory
from codepretrain.files.explain import explained
from codepretrain.files.sealed import write_sealed
from codepretrain.rows.verify import MANIFEST

_DOCUMENT_OPTIONS = "group_size:64,zstd:3"


@dataclass(frozen=True, kw_only=True)
class ReadTask:
    """One part to read.

    filters: names and filters, in their order. stamps: of the files when the inventory was taken.
    folder: of the pool.
    """

    source: str
    reader: Reader
    filters: tuple[tuple[str, Filter | Redactor], ...]
    shards: tuple[Any, ...]
    files: tuple[RawFile, ...]
    stamps: tuple[str, ...]
    inventory: Inventory
    folder: str
    key: str

    @property
    def directory(self) -> epath.Path:
        return epath.Path(self.folder) / self.key


@dataclass(frozen=True, kw_only=True)
class PartRead:
    """The summary of a part. manifest: its counts. part: its entry in the source's manifest."""

    manifest: PartManifest
    part: DocumentsPart
    inventory: Inventory


def read_part(task: ReadTask) -> PartRead:
    """Reads the part and writes its directory, unless it is there, and returns its summary.

    Raises:
      UserError: a file changed while it was read, or the directory is damaged or cannot be written.
    """
    if not is_whole(task.directory):
        with whole_directory(task.directory) as folder, explained("write", task.directory):
            _write(task, folder)
            _check_stamps(task)
    manifest, part = load_part(task.directory, source=task.source)
    return PartRead(manifest=manifest, part=part, inventory=task.inventory)


def _write(task: ReadTask, folder: Path) -> None:
    kept, keys = _Kept(task), KeysWriter()
    writer = ArrayRecordWriter(str(folder / DOCUMENTS), _DOCUMENT_OPTIONS)
    for document in kept.documents():
        writer.write(json.dumps(document.record()).encode())
        keys.add(document, text_digest(document.text.encode()))
    writer.close()
    keys.save(folder)
    write_sealed(folder / INVENTORY, task.inventory.to_json())
    manifest = PartManifest(
        format_version=FORMAT_VERSION,
        source=task.source,
        key=task.key,
        num_documents=kept.num_documents,
        num_bytes=kept.num_bytes,
        skipped=dict(sorted(kept.skipped.items())),
        skipped_examples=dict(sorted(kept.examples.items())),
        drop_report=kept.report.to_json(),
    )
    write_sealed(folder / MANIFEST, manifest.to_json())


class _Kept:
    """Decides which documents are kept, by the reader's limits and the filters, and counts."""

    def __init__(self, task: ReadTask) -> None:
        self.task, self.reader = task, task.reader
        self.num_documents = self.num_bytes = 0
        self.skipped: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self.report = DropReport()

    def documents(self) -> Iterator[Document]:
        """Yields the documents that are kept, with redactions."""
        for shard in self.task.shards:
            for item in self.reader.read(shard, self.task.source):
                reason = item.reason if isinstance(item, Skipped) else self._objection(item)
                if reason is not None:
                    self.skipped[reason] += 1
                    self.examples.setdefault(reason, _valid(item.origin))
                    continue
                assert isinstance(item, Document)
                document = apply_filters(item, self.task.filters, self.report)
                if document is not None:
                    self.num_documents += 1
                    self.num_bytes += document.num_bytes
                    yield document

    def _objection(self, document: Document) -> str | None:
        try:
            num_bytes = document.num_bytes
            json.dumps(document.provenance(), ensure_ascii=False).encode()
        except UnicodeEncodeError:
            return "not valid Unicode"
        maximum = self.reader.max_document_bytes
        if num_bytes < self.reader.min_document_bytes:
            return "shorter than min_document_bytes"
        if maximum is not None and num_bytes > maximum:
            return "longer than max_document_bytes"
        return None


def _valid(origin: str) -> str:
    return origin.encode(errors="replace").decode()


def _check_stamps(task: ReadTask) -> None:
    for file, old, new in zip(task.files, task.stamps, versions(task.files), strict=True):
        if old != new.stamp:
            raise UserError(
                f"config.data.sources.{task.source}: {file.path} changed while it was read: "
                "prepare again when nothing writes to it"
            )
