"""Counts what was read, kept, dropped and redacted; reports of shards add up to one of the source.

For every source: documents read = kept + dropped, and the same of their bytes.
"""

import hashlib
import heapq
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from codepretrain.data.document import Document

MAX_EXAMPLES = 10


@dataclass
class Tally:
    """A number of documents, their UTF-8 bytes, and the origins of some of them.

    The examples are the documents with the smallest hashes: those of the whole source, whatever the
    order of the documents and the number of shards.
    """

    documents: int = 0
    num_bytes: int = 0
    examples: list[tuple[str, str]] = field(default_factory=list)  # hash, origin; sorted

    def add(self, document: Document) -> None:
        """Counts one document."""
        self.documents += 1
        self.num_bytes += document.num_bytes
        example = (_hash(document), document.origin)
        if len(self.examples) < MAX_EXAMPLES or example < self.examples[-1]:
            self.examples = heapq.nsmallest(MAX_EXAMPLES, {*self.examples, example})

    def merge(self, other: "Tally") -> None:
        """Adds another tally to this one."""
        self.documents += other.documents
        self.num_bytes += other.num_bytes
        self.examples = heapq.nsmallest(MAX_EXAMPLES, {*self.examples, *other.examples})

    def to_json(self) -> dict[str, Any]:
        """Returns the tally as JSON values."""
        examples = [list(example) for example in self.examples]
        return {"documents": self.documents, "bytes": self.num_bytes, "examples": examples}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Tally":
        """Returns the tally that `to_json` wrote."""
        examples = [(digest, origin) for digest, origin in value["examples"]]
        return cls(value["documents"], value["bytes"], examples)


@dataclass(frozen=True, order=True)
class DropKey:
    """Which filter dropped documents of a source, why, and their language ("" if not stated)."""

    source: str
    filter: str
    reason: str
    language: str


class DropReport:
    """Tallies of the documents that passed through the filters.

    Attributes:
      kept: what passed, by source.
      dropped: what did not, by source, filter, reason and language.
      redacted: placeholders by source, filter and kind; and the documents with one by kind "".
    """

    def __init__(self) -> None:
        self.kept: defaultdict[str, Tally] = defaultdict(Tally)
        self.dropped: defaultdict[DropKey, Tally] = defaultdict(Tally)
        self.redacted: Counter[tuple[str, str, str]] = Counter()

    def keep(self, document: Document) -> None:
        """Counts a document that passed all filters."""
        self.kept[document.source].add(document)

    def drop(self, document: Document, filter_name: str, reason: str) -> None:
        """Counts a document that a filter dropped."""
        key = DropKey(document.source, filter_name, reason, document.language or "")
        self.dropped[key].add(document)

    def redact(self, document: Document, filter_name: str, counts: Mapping[str, int]) -> None:
        """Counts the placeholders in a document."""
        if not counts:
            return
        self.redacted[document.source, filter_name, ""] += 1
        for kind, count in counts.items():
            self.redacted[document.source, filter_name, kind] += count

    def merge(self, other: "DropReport") -> None:
        """Adds the report of another shard, in any order."""
        for source, tally in other.kept.items():
            self.kept[source].merge(tally)
        for key, tally in other.dropped.items():
            self.dropped[key].merge(tally)
        self.redacted.update(other.redacted)

    def read(self, source: str) -> tuple[int, int]:
        """Returns the documents and bytes of a source before the filters."""
        dropped = [tally for key, tally in self.dropped.items() if key.source == source]
        tallies = [self.kept.get(source, Tally()), *dropped]
        return sum(t.documents for t in tallies), sum(t.num_bytes for t in tallies)

    def to_json(self) -> dict[str, Any]:
        """Returns the report as JSON values; equal reports give equal values."""
        return {
            "kept": {source: self.kept[source].to_json() for source in sorted(self.kept)},
            "dropped": [
                {**vars(key), **self.dropped[key].to_json()} for key in sorted(self.dropped)
            ],
            "redacted": [[*key, self.redacted[key]] for key in sorted(self.redacted)],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "DropReport":
        """Returns the report that `to_json` wrote."""
        report = cls()
        for source, tally in value["kept"].items():
            report.kept[source] = Tally.from_json(tally)
        for entry in value["dropped"]:
            key = DropKey(*(entry[name] for name in DropKey.__dataclass_fields__))
            report.dropped[key] = Tally.from_json(entry)
        for source, filter_name, kind, count in value["redacted"]:
            report.redacted[source, filter_name, kind] = count
        return report


def _hash(document: Document) -> str:
    return hashlib.sha256(f"{document.source}\0{document.id}".encode()).hexdigest()[:16]
