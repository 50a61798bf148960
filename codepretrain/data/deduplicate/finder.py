"""Finds the duplicates among documents: sketches in, clusters out.

    sketches ── bands ──► pairs with an equal band ── signatures ──► near duplicates (edges)
                                                                         │ components
    documents (digest, key, locator) ────────── join on digest ◄─────────┘
                      │
                      ▼ sorted by cluster and key: the first one of a cluster is kept

Everything is a sort or a merge of sorted files: memory stays within the settings' bound, whatever
the number of documents. The result depends on the set of documents only, not on their order or on
shards: clusters are connected components, and keys decide which member is kept.

Disk: (40 + 16 + P + 24 · bands) bytes a document, 1.3 kB with the standard settings; sorting pairs
takes 288 bytes more for each.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from codepretrain.data.deduplicate.candidates import candidate_pairs, near_duplicates
from codepretrain.data.deduplicate.components import smallest_nodes
from codepretrain.data.deduplicate.external_sort import Sorter, as_keys, with_group_starts
from codepretrain.data.deduplicate.join import join
from codepretrain.data.deduplicate.settings import DeduplicationSettings
from codepretrain.data.deduplicate.sketch import BAND, DIGEST, KEY, LOCATOR, Sketch
from codepretrain.files.storage import StrPath

EXACT, NEAR = "exact", "near"
_BUFFERS = 5  # sorters that hold records at the same time


@dataclass(frozen=True)
class Duplicate:
    """A document to drop, and the document of its cluster that is kept."""

    locator: int
    key: bytes
    kept_locator: int
    kept_key: bytes
    kind: str  # EXACT: the same text as the kept document; NEAR


@dataclass
class DuplicateCounts:
    """What a search counted. `records_sorted` measures its work."""

    documents: int = 0
    clusters: int = 0
    exact: int = 0
    near: int = 0
    candidate_pairs: int = 0
    near_pairs: int = 0
    component_rounds: int = 0
    records_sorted: int = 0


class DuplicateFinder:
    """Collects sketches, then finds clusters. Use it once, with an empty folder of its own."""

    def __init__(self, folder: StrPath, settings: DeduplicationSettings) -> None:
        self._folder = folder
        self._settings = settings
        self._memory = settings.memory_bytes // _BUFFERS
        self._documents = self._sorter("documents", DIGEST + KEY + LOCATOR)
        self._signatures = self._sorter("signatures", DIGEST + settings.num_permutations)
        self._bands = self._sorter("bands", BAND + DIGEST)
        self.counts = DuplicateCounts()

    def add(self, sketch: Sketch) -> None:
        """Takes the sketch of some documents."""
        self._documents.add(sketch.documents)
        self._signatures.add(sketch.signatures)
        self._bands.add(sketch.bands)

    def find(self) -> Iterator[Duplicate]:
        """Yields the documents to drop by locator; `counts` is complete at the end.

        A cluster is a set of documents connected by equal texts and near duplicates. All of its
        documents are dropped but the one with the smallest key.
        """
        counts, memory = self.counts, self._memory
        counts.documents = self._documents.num_records
        pairs = candidate_pairs(self._bands, self._folder, memory_bytes=memory)
        self._done(self._bands)
        counts.candidate_pairs = sum(len(chunk) for chunk in pairs.merged())
        edges = near_duplicates(
            pairs,
            self._signatures,
            self._folder,
            min_equal=self._settings.min_equal,
            memory_bytes=memory,
        )
        self._done(pairs, self._signatures)
        counts.near_pairs = edges.num_records
        counts.records_sorted += edges.num_records
        labels, counts.component_rounds = smallest_nodes(edges, self._folder, memory_bytes=memory)
        members = self._members(labels)
        self._done(labels, self._documents)
        dropped = self._dropped(members)
        self._done(members)
        yield from self._read(dropped)
        self._done(dropped)

    def _members(self, labels: Sorter) -> Sorter:
        """Returns cluster, key, digest and locator of every document."""
        members = self._sorter("members", 2 * DIGEST + KEY + LOCATOR)
        documents = self._documents.merged()
        rows_of = join(documents, labels.merged(), DIGEST, row_width=2 * DIGEST)
        for records, rows, is_found in rows_of:
            digests = records[:, :DIGEST]
            cluster = digests.copy()
            cluster[is_found] = rows[is_found][:, DIGEST:]
            columns = (cluster, records[:, DIGEST:-LOCATOR], digests, records[:, -LOCATOR:])
            members.add(np.concatenate(columns, 1))
        return members

    def _dropped(self, members: Sorter) -> Sorter:
        """Returns, of every document but the first of a cluster: locator, key, kept one, kind."""
        dropped = self._sorter("dropped", 2 * (LOCATOR + KEY) + 1)
        last_cluster = b""
        for records, starts in with_group_starts(members.merged(), DIGEST):
            key = records[:, DIGEST : DIGEST + KEY]
            digest = records[:, DIGEST + KEY : -LOCATOR]
            locator = records[:, -LOCATOR:]
            is_dropped = as_keys(key) != as_keys(key[starts])
            is_near = (as_keys(digest) != as_keys(digest[starts])).astype(np.uint8)[:, None]
            columns = (locator, key, locator[starts], key[starts], is_near)
            dropped.add(np.concatenate(columns, 1)[is_dropped])
            clusters = np.unique(as_keys(records[is_dropped][:, :DIGEST]))
            self.counts.clusters += int((clusters != last_cluster).sum())
            last_cluster = clusters[-1] if len(clusters) else last_cluster
        return dropped

    def _read(self, dropped: Sorter) -> Iterator[Duplicate]:
        half = LOCATOR + KEY
        for chunk in dropped.merged():
            for row in map(bytes, chunk):
                kind = NEAR if row[-1] else EXACT
                if kind == NEAR:
                    self.counts.near += 1
                else:
                    self.counts.exact += 1
                yield Duplicate(
                    locator=int.from_bytes(row[:LOCATOR], "big"),
                    key=row[LOCATOR:half],
                    kept_locator=int.from_bytes(row[half : half + LOCATOR], "big"),
                    kept_key=row[half + LOCATOR : -1],
                    kind=kind,
                )

    def _sorter(self, name: str, width: int) -> Sorter:
        return Sorter(self._folder, name, width=width, memory_bytes=self._memory)

    def _done(self, *sorters: Sorter) -> None:
        for sorter in sorters:
            self.counts.records_sorted += sorter.num_records
            sorter.remove()
