"""A sample of a source's held-out documents, and which of their tokens count.

Documents are drawn by a keyed hash of their text. A document of more than `max_tokens` targets
counts with a window of as many consecutive ones, which wraps around from its end to its beginning:

    targets      0 1 2 3 4 5 6 7 8 9      max_tokens = 4, window begins at 8
    counted      x x . . . . . . x x

The first target of the window is drawn by a keyed hash, so each target is as likely to count as any
other, and the expected loss per token of the window is that of the document.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from codepretrain.evals.cluster_ratio import effective_number
from codepretrain.rows.held_out import HeldOutDocuments
from codepretrain.rows.sampling import keyed_hash, smallest

_FEW_CLUSTERS = 30
_LARGE_SHARE = 0.1
_DOCUMENTS, _WINDOWS = "held-out documents", "windows of held-out documents"


@dataclass(frozen=True)
class Span:
    """Targets [start, stop) of one segment: target i is the segment's token i + 1.

    document: position in the sample. row, index: of the segment in the source's rows. offset: of
    the segment in the document, in tokens.
    """

    document: int
    row: int
    index: int
    offset: int
    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class DocumentSample:
    """The sampled documents [n] of one source.

    documents: their numbers in the source. num_targets, num_bytes: of each whole document.
    num_counted: targets that count. clusters: see `DOCUMENT_TYPE`. spans: the counted targets.
    total_targets, total_bytes: what all held-out documents of the source would count: the sums of
    min(targets, max_tokens), and of the expected bytes of as many targets.
    """

    documents: np.ndarray
    keys: np.ndarray
    clusters: np.ndarray
    num_targets: np.ndarray
    num_bytes: np.ndarray
    num_counted: np.ndarray
    spans: tuple[Span, ...]
    total_targets: int
    total_bytes: float

    def __len__(self) -> int:
        return len(self.documents)

    @cached_property
    def cluster_sizes(self) -> np.ndarray:
        """The counted targets of each cluster."""
        _, places = np.unique(self.clusters, return_inverse=True)
        return np.bincount(places, self.num_counted)

    @property
    def effective_clusters(self) -> float:
        """See `effective_number`."""
        return effective_number(self.cluster_sizes)

    def describe(self) -> Any:
        """Returns the documents, by hash of the text, and what of them counts: a JSON value."""
        columns = self.keys, self.clusters, self.num_targets, self.num_bytes
        spans = [[span.document, span.offset, span.start, span.stop] for span in self.spans]
        return [[column.tolist() for column in columns], spans]

    def warnings(self) -> list[str]:
        """Returns why standard errors over these documents are not to be relied on, in words."""
        sizes, lines = self.cluster_sizes, []
        largest = float(sizes.max() / sizes.sum())
        effective = f"as good as {self.effective_clusters:.1f} of one size"
        if len(sizes) < _FEW_CLUSTERS:
            lines.append(
                f"its {len(self):,} sampled documents are of {len(sizes):,} groups, {effective}; "
                f"with fewer than {_FEW_CLUSTERS}, intervals are wide and approximate: raise "
                "num_examples, or hold out more (config.data.validation_fraction, or more groups "
                "of a source that is held out as a whole) if these are all"
            )
        if largest > max(_LARGE_SHARE, 2 / len(sizes)):
            lines.append(
                f"one group has {largest:.0%} of the counted tokens, so its {len(sizes):,} groups "
                f"are {effective}; lower options.max_tokens_per_document, raise num_examples, or "
                "hold out groups of more equal size"
            )
        return lines


def sample_documents(
    found: HeldOutDocuments, num_documents: int, *, max_tokens: int
) -> DocumentSample:
    """Returns `num_documents` documents, or all. More documents include those of fewer.

    Args:
      max_tokens: targets that a document counts with at most; 0 for all.
    """
    chosen = smallest(keyed_hash(found.documents["key"], _DOCUMENTS), num_documents)
    described = found.documents[chosen]
    num_targets = described["num_targets"].astype(np.int64)
    counted = _counted(num_targets, max_tokens)
    starts = keyed_hash(described["key"], _WINDOWS) % num_targets.astype(np.uint64)
    spans = (
        span
        for position, document in enumerate(chosen.tolist())
        for span in _spans(
            position, found.segments_of(document), int(starts[position]), int(counted[position])
        )
    )
    everything = found.documents["num_targets"].astype(np.int64)
    every_counted = _counted(everything, max_tokens)
    return DocumentSample(
        documents=chosen,
        keys=described["key"],
        clusters=described["cluster"],
        num_targets=num_targets,
        num_bytes=described["num_bytes"].astype(np.int64),
        num_counted=counted,
        spans=tuple(spans),
        total_targets=int(every_counted.sum()),
        total_bytes=float(np.sum(found.documents["num_bytes"] * (every_counted / everything))),
    )


def _counted(num_targets: np.ndarray, max_tokens: int) -> np.ndarray:
    return np.minimum(num_targets, max_tokens) if max_tokens else num_targets


def _spans(document: int, segments: np.ndarray, start: int, count: int) -> Iterator[Span]:
    """Yields the window's part of each segment, in the document's order.

    Args:
      start, count: of the window, in targets of the document.
    """
    total = int(segments["length"].sum(dtype=np.int64)) - len(segments)
    if count == total:
        ranges = [(0, total)]
    else:
        ranges = [(0, start + count - total), (start, min(start + count, total))]
    for segment in segments:
        first = int(segment["offset"])  # the document's target that is the segment's first
        last = first + int(segment["length"]) - 1
        for low, high in ranges:
            if max(low, first) < min(high, last):
                yield Span(
                    document,
                    int(segment["row"]),
                    int(segment["index"]),
                    first,
                    max(low, first) - first,
                    min(high, last) - first,
                )
