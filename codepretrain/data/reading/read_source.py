"""The first stage of preparation: a source's raw files to its documents, in parallel parts."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from etils import epath

from codepretrain.data.document import counted_reasons
from codepretrain.data.engines.engine import Engine
from codepretrain.data.filters.drop_report import DropReport
from codepretrain.data.filters.filter import Filter, Redactor
from codepretrain.data.readers.damage import check_damage
from codepretrain.data.readers.reader import Reader
from codepretrain.data.reading.checksums import Checksums
from codepretrain.data.reading.document_parts import DocumentsPart
from codepretrain.data.reading.documents_manifest import (
    FORMAT_VERSION,
    DocumentsManifest,
    write_documents_manifest,
)
from codepretrain.data.reading.documents_view import DocumentsEntry
from codepretrain.data.reading.inventory import Inventory, InventoryEntry
from codepretrain.data.reading.part_plan import Part, part_inventory, part_key, plan_parts
from codepretrain.data.reading.read_part import PartRead, ReadTask, read_part
from codepretrain.errors import UserError
from codepretrain.files.sealed import seal
from codepretrain.files.storage import StrPath

_FIRST_PARTS = 4  # that tell how much text a raw byte gives


@dataclass(frozen=True, kw_only=True)
class SourceReading:
    """What to read. folder: of the pool. settings_hash: of the reading settings."""

    source: str
    reader: Reader
    filters: tuple[tuple[str, Filter | Redactor], ...]
    shards: Sequence[Any]
    folder: StrPath
    settings_hash: str


def read_source(
    reading: SourceReading, engine: Engine, *, advance: Callable[[int], None]
) -> tuple[DocumentsManifest, DocumentsEntry]:
    """Reads the parts that are not in the pool; calls `advance` with the bytes of each part.

    Returns the manifest, and what a study's list of documents names. The result and the parts in
    the pool do not depend on the engine.

    Raises:
      UserError: nothing could be read, too much of it is damaged, a file changed while it was read,
        or the pool cannot be written.
    """
    checksums, counts = Checksums(reading.folder), _Counts()
    try:
        for part in _read_parts(reading, engine, checksums):
            counts.add(part)
            advance(part.manifest.num_bytes)
    finally:
        checksums.save()
    manifest, inventory = counts.manifest(reading)
    if not manifest.num_documents:
        raise UserError(_nothing_read(manifest))
    check_damaged_share(manifest, reading.reader)
    name, sha256 = write_documents_manifest(reading.folder, manifest, inventory)
    entry = DocumentsEntry(folder=epath.Path(reading.folder).name, manifest=name, sha256=sha256)
    return manifest, entry


def check_damaged_share(manifest: DocumentsManifest, reader: Reader) -> None:
    """Raises UserError if more of a source is damaged than its reader accepts."""
    check_damage(
        manifest.source,
        max_share=reader.max_damaged_share,
        num_records=manifest.num_read,
        skipped=manifest.skipped,
        examples=manifest.skipped_examples,
    )


def _read_parts(reading: SourceReading, engine: Engine, checksums: Checksums) -> Iterator[PartRead]:
    """Yields the parts in order until they reach the limit."""
    planned, limit = plan_parts(reading.reader, reading.shards), reading.reader.max_bytes
    if limit is None:
        yield from engine.map(read_part, (_task(reading, part, checksums) for part in planned))
        return
    raw_bytes = text_bytes = 0
    while text_bytes < limit:
        wave = _wave(planned, (limit - text_bytes) * raw_bytes / max(1, text_bytes))
        if not wave:
            return
        for part in engine.map(read_part, (_task(reading, p, checksums) for p in wave)):
            if text_bytes < limit:
                yield part
            text_bytes += part.manifest.num_bytes
        raw_bytes += sum(part.num_bytes for part in wave)


def _wave(planned: Iterator[Part], raw_bytes: float) -> list[Part]:
    """Returns the parts to read next: those that are expected to reach the limit.

    They are chosen without regard to the number of workers, so the pool does not depend on it.
    """
    if not raw_bytes:
        return list(islice(planned, _FIRST_PARTS))
    wave: list[Part] = []
    for part in planned:
        wave.append(part)
        raw_bytes -= part.num_bytes
        if raw_bytes <= 0:
            break
    return wave


def _task(reading: SourceReading, part: Part, checksums: Checksums) -> ReadTask:
    entries = part_inventory(part, checksums)
    return ReadTask(
        source=reading.source,
        reader=reading.reader,
        filters=reading.filters,
        shards=part.shards,
        files=part.files,
        stamps=tuple(version.stamp for version in part.versions),
        inventory=Inventory(files=entries),
        folder=str(reading.folder),
        key=part_key(part, entries, reading.settings_hash),
    )


class _Counts:
    """Adds up the parts of a source."""

    def __init__(self) -> None:
        self.parts: list[DocumentsPart] = []
        self.files: dict[str, InventoryEntry] = {}  # in order, by name: parts may share a file
        self.skipped: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self.report = DropReport()

    def add(self, part: PartRead) -> None:
        """Adds the next part."""
        self.parts.append(part.part)
        self.files.update({entry.name: entry for entry in part.inventory.files})
        self.skipped.update(part.manifest.skipped)
        self.examples = {**part.manifest.skipped_examples, **self.examples}
        self.report.merge(DropReport.from_json(part.manifest.drop_report))

    def manifest(self, reading: SourceReading) -> tuple[DocumentsManifest, Inventory]:
        """Returns the source's manifest and the raw files of all parts."""
        limit, num_bytes = reading.reader.max_bytes, sum(part.num_bytes for part in self.parts)
        inventory = Inventory(files=tuple(self.files.values()))
        manifest = DocumentsManifest(
            format_version=FORMAT_VERSION,
            source=reading.source,
            settings_hash=reading.settings_hash,
            parts=tuple(self.parts),
            num_documents=sum(part.num_documents for part in self.parts),
            num_bytes=num_bytes,
            limit=limit,
            was_capped=limit is not None and num_bytes >= limit,
            skipped=dict(sorted(self.skipped.items())),
            skipped_examples=dict(sorted(self.examples.items())),
            drop_report=self.report.to_json(),
            num_files=len(inventory.files),
            files_sha256=seal(inventory.to_json())["sha256"],
        )
        return manifest, inventory


def _nothing_read(manifest: DocumentsManifest) -> str:
    reasons = counted_reasons(manifest.skipped, manifest.skipped_examples)
    report = DropReport.from_json(manifest.drop_report)
    dropped: Counter[str] = Counter()
    for key, tally in report.dropped.items():
        reason = "" if key.reason == key.filter else f" ({key.reason})"
        dropped[key.filter + reason] += tally.documents
    filtered = [f"{count:,} by {name}" for name, count in sorted(dropped.items())]
    return (
        f"config.data.sources.{manifest.source} has no documents; skipped: "
        f"{'; '.join(reasons) or 'none'}; dropped by filters: {'; '.join(filtered) or 'none'}; "
        "check the reader's options and the filters"
    )
