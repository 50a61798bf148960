"""From raw material to a source's documents on disk: limited, distinct, split, counted.

`<data_dir>/documents/<source>/` holds `train.arrayrecord` and `validation.arrayrecord`, a document
a record in reading order, and `manifest.json`. The tokenizer, the rows and the evaluation items are
all made from these files, so raw material is read once.
"""

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from pathlib import Path

from array_record.python.array_record_module import ArrayRecordReader, ArrayRecordWriter

from codepretrain.data.atomic import atomic_directory
from codepretrain.data.document import Document, DocumentsManifest, Skipped, is_validation
from codepretrain.data.readers.reader import Reader
from codepretrain.errors import UserError
from codepretrain.rows.format import SPLITS

_READ_BATCH = 256
_SHARDS_IN_FLIGHT = 8


def documents_directory(data_dir: Path, source: str) -> Path:
    """Where the documents of one source lie under the study's data directory."""
    return data_dir / "documents" / source


def load_documents_manifest(directory: Path) -> DocumentsManifest:
    """Raises UserError when the source was never (completely) read, or the manifest is damaged."""
    path = directory / "manifest.json"
    if not path.exists():
        raise UserError(f"no documents at {directory}: run `codepretrain prepare` first")
    try:
        return DocumentsManifest(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise UserError(
            f"damaged manifest {path}: {error}; delete {directory} and prepare again"
        ) from error


def collect(
    source: str,
    reader: Reader,
    *,
    directory: Path,
    validation_fraction: float,
    settings_hash: str,
    executor: Executor | None,
    advance: Callable[[int], None],
) -> DocumentsManifest:
    """Reads the source and writes its documents; `advance` is told the bytes of each one kept.

    The result does not depend on the executor. The set of hashes that drops exact duplicates is
    held in memory: about 100 bytes a document.

    Raises:
        UserError: nothing could be read, or the directory cannot be written.
    """
    limits = _Limits(reader)
    num_documents, num_bytes = dict.fromkeys(SPLITS, 0), dict.fromkeys(SPLITS, 0)
    with atomic_directory(directory) as partial:
        writers = {
            split: ArrayRecordWriter(str(partial / f"{split}.arrayrecord"), "group_size:64,zstd:3")
            for split in SPLITS
        }
        for item in read_in_order(reader, source, executor):
            document = limits.admit(item)
            if document is None:
                continue
            split = "validation" if is_validation(document, validation_fraction) else "train"
            writers[split].write(json.dumps(dataclasses.asdict(document)).encode())
            num_documents[split] += 1
            num_bytes[split] += document.num_bytes
            advance(document.num_bytes)
            if limits.was_reached:
                break
        for writer in writers.values():
            writer.close()
        if not num_documents["train"]:
            raise UserError(
                f"source {source!r} gave no training documents; held out: "
                f"{num_documents['validation']}, skipped: {dict(limits.skipped)}"
            )
        manifest = DocumentsManifest(
            source=source,
            settings_hash=settings_hash,
            num_documents=num_documents,
            num_bytes=num_bytes,
            skipped=dict(sorted(limits.skipped.items())),
            was_capped=limits.was_reached,
        )
        text = json.dumps(dataclasses.asdict(manifest), indent=1)
        (partial / "manifest.json").write_text(text, encoding="utf-8")
    return manifest


def read_documents(directory: Path, split: str) -> Iterator[Document]:
    """The documents of one split, in the order in which they were read.

    Raises:
        UserError: the file is missing or damaged.
    """
    path = directory / f"{split}.arrayrecord"
    try:
        reader = ArrayRecordReader(str(path), "max_parallelism:1")
        num_documents = reader.num_records()
        for start in range(0, num_documents, _READ_BATCH):
            for record in reader.read(start, min(start + _READ_BATCH, num_documents)):
                yield Document(**json.loads(record))
        reader.close()
    except (RuntimeError, ValueError, IndexError) as error:
        raise UserError(
            f"damaged documents {path}: {error}; delete {directory} and prepare again"
        ) from error


def read_in_order(
    reader: Reader, source: str, executor: Executor | None
) -> Iterator[Document | Skipped]:
    """Everything the reader yields, shard after shard, some shards read ahead by the executor."""
    shards = iter(reader.shards())
    if executor is None:
        for shard in shards:
            yield from reader.read(shard, source)
        return
    ahead: list[Future] = [
        executor.submit(_read_shard, reader, shard, source)
        for shard in islice(shards, _SHARDS_IN_FLIGHT)
    ]
    try:
        while ahead:
            yield from _result(ahead.pop(0))
            ahead += [
                executor.submit(_read_shard, reader, shard, source) for shard in islice(shards, 1)
            ]
    finally:
        for future in ahead:
            future.cancel()


class _Limits:
    """Decides which documents are kept, by the reader's limits and by what was there before."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.num_bytes = 0
        self.seen: set[bytes] = set()
        self.skipped: Counter[str] = Counter()

    @property
    def was_reached(self) -> bool:
        return self.reader.max_bytes is not None and self.num_bytes >= self.reader.max_bytes

    def admit(self, item: Document | Skipped) -> Document | None:
        reason = item.reason if isinstance(item, Skipped) else self._objection(item)
        if reason is not None:
            self.skipped[reason] += 1
            return None
        assert isinstance(item, Document)
        self.num_bytes += item.num_bytes
        return item

    def _objection(self, document: Document) -> str | None:
        try:
            text = document.text.encode()
        except UnicodeEncodeError:
            return "not valid Unicode"
        maximum = self.reader.max_document_bytes
        if len(text) < self.reader.min_document_bytes:
            return "shorter than min_document_bytes"
        if maximum is not None and len(text) > maximum:
            return "longer than max_document_bytes"
        digest = hashlib.sha256(text).digest()
        if digest in self.seen:
            return "exact duplicate"
        self.seen.add(digest)
        return None


def _result(future: Future) -> list[Document | Skipped]:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise UserError(
            "a reading process was killed, most likely for want of memory: prepare again with "
            "--num-workers 1"
        ) from error


def _read_shard(reader: Reader, shard: object, source: str) -> list[Document | Skipped]:
    return list(reader.read(shard, source))
