"""Counts the documents that contain evaluation texts; reports of shards add up."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from codepretrain.data.decontaminate.index import Match
from codepretrain.data.document import Document
from codepretrain.data.filters.drop_report import Tally


class DecontaminationReport:
    """What was found, in documents compared with the evaluation texts of one index.

    Attributes:
      documents: tallies of contaminated documents, by source and benchmark. A document that
        contains items of two benchmarks counts for both.
      items: the items found, by source and benchmark.
    """

    def __init__(self, fingerprint: str) -> None:
        """Starts with nothing found.

        Args:
          fingerprint: of the index.
        """
        self.fingerprint = fingerprint
        self.documents: defaultdict[tuple[str, str], Tally] = defaultdict(Tally)
        self.items: defaultdict[tuple[str, str], set[str]] = defaultdict(set)

    def add(self, document: Document, matches: Sequence[Match]) -> None:
        """Counts a document with its matches."""
        for benchmark in {match.benchmark for match in matches}:
            self.documents[document.source, benchmark].add(document)
        for match in matches:
            self.items[document.source, match.benchmark].add(match.item)

    def merge(self, other: "DecontaminationReport") -> None:
        """Adds the report of another shard, in any order.

        Raises:
          ValueError: the other shard was compared with other evaluation texts.
        """
        if other.fingerprint != self.fingerprint:
            raise ValueError(
                f"expected a report on the index {self.fingerprint}, found {other.fingerprint}: "
                "compare all shards with the same evaluation texts"
            )
        for key, tally in other.documents.items():
            self.documents[key].merge(tally)
        for key, items in other.items.items():
            self.items[key] |= items

    def to_json(self) -> dict[str, Any]:
        """Returns the report as JSON values; equal reports give equal values."""
        documents = [
            {
                "source": source,
                "benchmark": benchmark,
                **self.documents[source, benchmark].to_json(),
                "items": sorted(self.items[source, benchmark]),
            }
            for source, benchmark in sorted(self.documents)
        ]
        return {"fingerprint": self.fingerprint, "documents": documents}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "DecontaminationReport":
        """Returns the report that `to_json` wrote."""
        report = cls(value["fingerprint"])
        for entry in value["documents"]:
            key = entry["source"], entry["benchmark"]
            report.documents[key] = Tally.from_json(entry)
            report.items[key] = set(entry["items"])
        return report
