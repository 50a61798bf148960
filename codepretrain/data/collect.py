"""Collects a source's documents from raw files: size limits, duplicates, keys and counts."""

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any

from array_record.python.array_record_module import ArrayRecordWriter

from codepretrain.data.document import Document, Skipped
from codepretrain.data.documents import (
    DOCUMENTS,
    DUPLICATES,
    FORMAT_VERSION,
    DocumentsManifest,
)
from codepretrain.data.inventory import INVENTORY, Watch
from codepretrain.data.keys import KeysWriter, text_digest
from codepretrain.data.readers.reader import Reader
from codepretrain.errors import UserError
from codepretrain.files.directory import whole_directory
from codepretrain.files.explain import explained
from codepretrain.files.sealed import write_sealed
from codepretrain.files.storage import StrPath
from codepretrain.rows.verify import MANIFEST

_SHARDS_IN_FLIGHT = 8
_DOCUMENT_OPTIONS = "group_size:64,zstd:3"


def collect(
    source: str,
    reader: Reader,
    shards: Sequence[Any],
    *,
    directory: StrPath,
    settings_hash: str,
    executor: Executor | None,
    advance: Callable[[int], None],
) -> tuple[DocumentsManifest, list[str]]:
    """Reads the source and writes its documents; calls `advance` with the bytes of each one kept.

    Returns the manifest, and the stamps of the raw files: see `data/inventory.py`.

    The result does not depend on the executor. The set of hashes that drops exact duplicates is
    held in memory, as are the keys: about 120 bytes a document.

    Args:
      shards: what `reader.shards()` returned.

    Raises:
      UserError: nothing could be read, or the directory cannot be written.
    """
    kept, watch = _Kept(reader), Watch(reader, source)
    with whole_directory(directory) as folder, explained("write", directory):
        writer = ArrayRecordWriter(str(folder / DOCUMENTS), _DOCUMENT_OPTIONS)
        num_read = 0
        for items in read_shards(reader, watch.shards(shards), source, executor):
            num_read += 1
            for document in kept.admitted(items):
                writer.write(json.dumps(dataclasses.asdict(document)).encode())
                advance(document.num_bytes)
            if kept.is_full:
                break
        writer.close()
        inventory, stamps = watch.inventory(shards[:num_read])
        if not kept.num_documents:
            raise UserError(_nothing_read(source, kept))
        kept.keys.save(folder)
        write_sealed(folder / INVENTORY, inventory.to_json())
        manifest = DocumentsManifest(
            format_version=FORMAT_VERSION,
            source=source,
            settings_hash=settings_hash,
            num_documents=kept.num_documents,
            num_bytes=kept.num_bytes,
            skipped=dict(sorted(kept.skipped.items())),
            skipped_examples=dict(sorted(kept.examples.items())),
            num_files=len(inventory.files),
            was_capped=kept.is_full,
        )
        write_sealed(folder / MANIFEST, manifest.to_json())
    return manifest, stamps


def read_shards(
    reader: Reader, shards: Iterable[Any], source: str, executor: Executor | None
) -> Iterator[Iterable[Document | Skipped]]:
    """Yields what the reader gives for each shard, in order; the executor reads some ahead."""
    remaining = iter(shards)
    if executor is None:
        for shard in remaining:
            yield reader.read(shard, source)
        return
    ahead: list[Future] = [
        executor.submit(_read_shard, reader, shard, source)
        for shard in islice(remaining, _SHARDS_IN_FLIGHT)
    ]
    try:
        while ahead:
            yield _result(ahead.pop(0))
            ahead += [
                executor.submit(_read_shard, reader, shard, source)
                for shard in islice(remaining, 1)
            ]
    finally:
        for future in ahead:
            future.cancel()


class _Kept:
    """Decides which documents are kept: by the reader's limits, and exact duplicates once."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.num_documents = self.num_bytes = 0
        self.keys = KeysWriter()
        self.seen: set[bytes] = set()
        self.skipped: Counter[str] = Counter()
        self.examples: dict[str, str] = {}

    @property
    def is_full(self) -> bool:
        return self.reader.max_bytes is not None and self.num_bytes >= self.reader.max_bytes

    def admitted(self, items: Iterable[Document | Skipped]) -> Iterator[Document]:
        """Yields the documents that are kept, until the source is full."""
        for item in items:
            document = self.admit(item)
            if document is not None:
                yield document
            if self.is_full:
                return

    def admit(self, item: Document | Skipped) -> Document | None:
        reason = item.reason if isinstance(item, Skipped) else self._objection(item)
        if reason is not None:
            self.skipped[reason] += 1
            self.examples.setdefault(reason, item.origin.encode(errors="replace").decode())
            return None
        assert isinstance(item, Document)
        self.num_documents += 1
        self.num_bytes += item.num_bytes
        return item

    def _objection(self, document: Document) -> str | None:
        try:
            text = document.text.encode()
            json.dumps(document.provenance(), ensure_ascii=False).encode()
        except UnicodeEncodeError:
            return "not valid Unicode"
        maximum = self.reader.max_document_bytes
        if len(text) < self.reader.min_document_bytes:
            return "shorter than min_document_bytes"
        if maximum is not None and len(text) > maximum:
            return "longer than max_document_bytes"
        digest = text_digest(text)
        if digest in self.seen:
            self.keys.drop(document, digest)
            return DUPLICATES
        self.seen.add(digest)
        self.keys.keep(document, digest)
        return None


def _nothing_read(source: str, kept: _Kept) -> str:
    reasons = [
        f"{count:,} {reason} (the first: {kept.examples[reason]})"
        for reason, count in sorted(kept.skipped.items())
    ]
    return (
        f"config.data.sources.{source} has no documents; skipped: {'; '.join(reasons) or 'none'}; "
        "check the reader's options"
    )


def _result(future: Future) -> list[Document | Skipped]:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise UserError(
            "a reading process was killed, most likely out of memory: prepare again with "
            "--num-workers 1"
        ) from error


def _read_shard(reader: Reader, shard: object, source: str) -> list[Document | Skipped]:
    return list(reader.read(shard, source))
