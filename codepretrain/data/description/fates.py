"""What became of everything that a source's reader found.

    read = skipped + filtered + kept               kept = documents of each code

Material that is skipped never became a document, so it has a count and no bytes. Bytes of filtered
documents are those before redactions; what redactions removed is counted apart.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from codepretrain.data.reading.documents import DocumentsManifest
from codepretrain.data.selection.document_codes import CODES

SKIPPED, FILTERED = "skipped", "filtered"
FATES = (SKIPPED, FILTERED, *CODES[2:], *CODES[:2])  # in the order of lists


@dataclass(frozen=True, kw_only=True)
class Fate:
    """Documents that ended in one way.

    fate: one of FATES. filter: its name, if a filter dropped them. reason: why, "" if the fate says
    it. num_bytes: None for material that was skipped. examples: where to find some of them.
    """

    fate: str
    filter: str = ""
    reason: str = ""
    num_documents: int
    num_bytes: int | None
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SourceFates:
    """The fates of all documents of a source, in the order of FATES.

    num_read: documents, and pieces that were skipped. num_bytes_read: of the documents.
    num_redactions: documents that a filter redacted, counted for each filter. num_redacted_bytes:
    by which redactions made kept documents shorter; negative if longer.
    """

    num_read: int
    num_bytes_read: int
    num_redactions: int
    num_redacted_bytes: int
    fates: tuple[Fate, ...]

    def total(self, fate: str) -> tuple[int, int]:
        """Returns the documents and the known bytes of all entries of a fate."""
        entries = [entry for entry in self.fates if entry.fate == fate]
        return sum(e.num_documents for e in entries), sum(e.num_bytes or 0 for e in entries)


def source_fates(
    manifest: DocumentsManifest, codes: np.ndarray, num_bytes: np.ndarray
) -> SourceFates:
    """Returns the fates of a source's documents, and asserts that they add up.

    Args:
      codes: [num_documents] uint8, see `data/selection/document_codes.py`.
      num_bytes: [num_documents], of each document.
    """
    report = manifest.drop_report
    kept = report["kept"].get(manifest.source, {"documents": 0, "bytes": 0})
    fates = [*_skipped(manifest), *_filtered(report["dropped"]), *_of_codes(codes, num_bytes)]
    found = SourceFates(
        num_read=sum(manifest.skipped.values()) + _sum(report["dropped"], "documents", kept),
        num_bytes_read=_sum(report["dropped"], "bytes", kept),
        num_redactions=_num_redacted(report["redacted"]),
        num_redacted_bytes=kept["bytes"] - manifest.num_bytes,
        fates=tuple(fates),
    )
    _check(found, manifest, kept)
    return found


def _skipped(manifest: DocumentsManifest) -> list[Fate]:
    return [
        Fate(
            fate=SKIPPED,
            reason=reason,
            num_documents=count,
            num_bytes=None,
            examples=(manifest.skipped_examples[reason],),
        )
        for reason, count in _largest_first(manifest.skipped)
    ]


def _filtered(dropped: list[Mapping[str, Any]]) -> list[Fate]:
    """Returns a fate per filter and reason, of all languages."""
    documents: dict[tuple[str, str], int] = {}
    num_bytes: dict[tuple[str, str], int] = {}
    examples: dict[tuple[str, str], list[str]] = {}
    for entry in dropped:
        key = (entry["filter"], entry["reason"])
        documents[key] = documents.get(key, 0) + entry["documents"]
        num_bytes[key] = num_bytes.get(key, 0) + entry["bytes"]
        examples.setdefault(key, []).extend(origin for _, origin in entry["examples"])
    return [
        Fate(
            fate=FILTERED,
            filter=key[0],
            reason=key[1],
            num_documents=count,
            num_bytes=num_bytes[key],
            examples=tuple(examples[key]),
        )
        for key, count in _largest_first(documents)
    ]


def _of_codes(codes: np.ndarray, num_bytes: np.ndarray) -> list[Fate]:
    """Returns a fate per code: both sides of the split always, others if there are any."""
    counts = np.bincount(codes, minlength=len(CODES))
    assert len(counts) == len(CODES), f"unknown document code {len(counts) - 1}"
    return [
        Fate(
            fate=fate,
            num_documents=int(counts[CODES.index(fate)]),
            num_bytes=int(num_bytes[codes == CODES.index(fate)].sum(dtype=np.int64)),
        )
        for fate in FATES
        if fate in CODES and (counts[CODES.index(fate)] or fate in CODES[:2])
    ]


def _check(found: SourceFates, manifest: DocumentsManifest, kept: Mapping[str, Any]) -> None:
    num_documents = sum(entry.num_documents for entry in found.fates)
    num_bytes = sum(entry.num_bytes or 0 for entry in found.fates)
    name = f"source {manifest.source!r}"
    assert kept["documents"] == manifest.num_documents, f"{name}: kept documents do not add up"
    assert num_documents == found.num_read, f"{name}: {num_documents} of {found.num_read} documents"
    assert num_bytes + found.num_redacted_bytes == found.num_bytes_read, (
        f"{name}: {num_bytes} + {found.num_redacted_bytes} of {found.num_bytes_read} bytes"
    )


def _sum(dropped: list[Mapping[str, Any]], field: str, kept: Mapping[str, Any]) -> int:
    return kept[field] + sum(entry[field] for entry in dropped)


def _num_redacted(redacted: list[Any]) -> int:
    """Returns how often a filter redacted a document: kind "" counts documents."""
    return sum(count for _, _, kind, count in redacted if kind == "")


def _largest_first(counts: Mapping[Any, int]) -> list[tuple[Any, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
