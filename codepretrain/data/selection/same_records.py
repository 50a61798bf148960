"""Documents of several sources that were read from one record, such as its question and its answer.

Where a format does not say what a text was cut from, the record is its group. Sources that read one
raw file under one name give its records the same ids, so the documents of one record are found by
their keys. They are not if an option names a field of ids, or if only one of the sources states
groups. A key does not tell the file: if two sources share one file, records of other files of one
name are joined too.
"""

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from codepretrain.data.keys import source_key
from codepretrain.data.reading.inventory import Inventory
from codepretrain.data.selection.components import contains


def same_record_joins(
    groups: Mapping[str, np.ndarray], inventories: Mapping[str, Inventory]
) -> np.ndarray:
    """Returns pairs of group keys of documents that were read from one record: [n, 2] uint64.

    Of each pair of sources that share a raw file, by name and contents, needs about 30 bytes a
    document. Empty files are not counted: corpora that have nothing else in common may have them.

    Args:
      groups: of each source, the key of each document's group, [num_documents] uint64.
      inventories: of each source, the raw files.
    """
    files = {
        source: {(f.name, f.checksum) for f in inventory.files if f.checksum and f.size}
        for source, inventory in inventories.items()
    }
    joins = [np.empty((0, 2), np.uint64)]
    for one, other in combinations(sorted(groups), 2):
        if files[one].isdisjoint(files[other]):
            continue
        # A key is that of the id, xor that of the source. Stated groups find no partner.
        theirs = groups[one] ^ np.uint64(source_key(one) ^ source_key(other))
        is_shared = contains(np.unique(groups[other]), theirs)
        joins.append(np.stack([groups[one], theirs], axis=1)[is_shared])
    return np.concatenate(joins)
