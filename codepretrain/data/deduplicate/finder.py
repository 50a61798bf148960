"""Finds near duplicates among texts: sketches in, clusters out.

    sketches ── bands ──► pairs with an equal band ── signatures ──► near duplicates (edges)
                                                                         │ components
                                    text → smallest text of its cluster ◄┘

Everything but the result is a sort or a merge of sorted files: memory stays within the settings'
bound, whatever the number of texts. The result depends on the set of texts only, not on their order
or on parts.

Disk: 8 + P + 16 · bands bytes a text, 0.9 kB with the standard settings; sorting pairs takes
16 + P bytes more for each.
"""

from dataclasses import dataclass

import numpy as np

from codepretrain.data.deduplicate.candidates import (
    BAND_RECORD,
    band_records,
    candidate_pairs,
    near_duplicates,
)
from codepretrain.data.deduplicate.components import smallest_nodes
from codepretrain.data.deduplicate.external_sort import Sorter
from codepretrain.data.deduplicate.settings import DeduplicationSettings
from codepretrain.data.deduplicate.sketch import TEXT, as_numbers, sketch_width
from codepretrain.files.storage import StrPath

_BUFFERS = 5  # sorters that hold records at the same time


@dataclass
class FinderCounts:
    """What a search counted. `records_sorted` measures its work.

    sketches: equal texts counted each time. clusters: of two texts or more.
    """

    sketches: int = 0
    clusters: int = 0
    candidate_pairs: int = 0
    near_pairs: int = 0
    component_rounds: int = 0
    records_sorted: int = 0


class NearDuplicateFinder:
    """Collects sketches, then finds clusters. Use it once, with an empty local folder of its own.

    Attributes:
      counts: complete when the clusters are found.
    """

    def __init__(self, folder: StrPath, settings: DeduplicationSettings) -> None:
        self._folder = folder
        self._settings = settings
        self._memory = settings.memory_bytes // _BUFFERS
        self._signatures = self._sorter("signatures", TEXT + settings.num_permutations)
        self._bands = self._sorter("bands", BAND_RECORD)
        self.counts = FinderCounts()

    def add(self, sketches: np.ndarray) -> None:
        """Takes what `sketch` returned for some texts."""
        assert sketches.shape[1:] == (sketch_width(self._settings),), sketches.shape
        self.counts.sketches += len(sketches)
        self._signatures.add(sketches[:, : self._signatures.width])
        self._bands.add(band_records(sketches, self._settings))

    def clusters(self) -> np.ndarray:
        """Returns texts and the smallest one of each one's cluster: [n, 2] uint64, by text.

        A cluster is a set of texts connected by near duplicates. Only texts that are not the
        smallest one of theirs are in the result. It takes 16 bytes for each of them.
        """
        counts, memory = self.counts, self._memory
        pairs = candidate_pairs(self._bands, self._folder, memory_bytes=memory)
        self._done(self._bands)
        edges, counts.candidate_pairs = near_duplicates(
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
        found = [as_numbers(chunk.reshape(-1, TEXT)).reshape(-1, 2) for chunk in labels.merged()]
        self._done(labels)
        result = np.concatenate([np.empty((0, 2), np.uint64), *found])
        counts.clusters = len(np.unique(result[:, 1]))
        return result

    def _sorter(self, name: str, width: int) -> Sorter:
        return Sorter(self._folder, name, width=width, memory_bytes=self._memory)

    def _done(self, *sorters: Sorter) -> None:
        for sorter in sorters:
            self.counts.records_sorted += sorter.num_records
            sorter.remove()
