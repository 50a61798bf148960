"""Documents of several sources that were read from one record, such as its question and its answer.

Where a format does not say what a text was cut from, the record is its group. Sources that read one
raw file give its records the same ids, so the documents of one record are found by their keys.
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
    document.

    Args:
      groups: of each source, the key of each document's group, [num_documents] uint64.
      inventories: of each source, the raw files.
    """
    files = {
        source: {(file.name, file.checksum) for file in inventory.files if file.checksum}
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
