"""Samples of a source's documents by keyed hash of their texts: `rows/sampling.py`.

Which documents are chosen depends only on the texts of the split and on the purpose, not on the
order or the place in which they were read. The keys are read, and then only the chosen texts.
"""

from collections.abc import Iterator

import numpy as np

from codepretrain.data.document import Document
from codepretrain.data.reading.documents import open_documents
from codepretrain.data.selection.selected import load_split
from codepretrain.files.storage import StrPath
from codepretrain.rows.sampling import keyed_hash, smallest, smallest_up_to


def sample_documents(
    data_dir: StrPath,
    *,
    source: str,
    split: str,
    purpose: str,
    num_documents: int,
    max_bytes: int | None = None,
    cache_bytes: int | None = None,
) -> Iterator[Document]:
    """Yields a number of documents, or all if there are fewer, in reading order.

    Args:
      max_bytes: fewer documents are chosen if their texts together reach this size.

    Raises:
      UserError: a file is missing or damaged.
    """
    members, keys = _members(data_dir, source, split, cache_bytes)
    hashes = keyed_hash(keys["text"], purpose)
    chosen = smallest(hashes, num_documents)
    if max_bytes is not None:
        fewer = smallest_up_to(hashes, keys["num_bytes"], max_bytes)
        chosen = min(chosen, fewer, key=len)
    return _read(data_dir, source, members, chosen, cache_bytes)


def sample_bytes(
    data_dir: StrPath,
    *,
    source: str,
    split: str,
    purpose: str,
    num_bytes: int,
    cache_bytes: int | None = None,
) -> Iterator[Document]:
    """Yields whole documents, in reading order, whose texts together reach `num_bytes` of UTF-8.

    Raises:
      UserError: a file is missing or damaged.
    """
    members, keys = _members(data_dir, source, split, cache_bytes)
    chosen = smallest_up_to(keyed_hash(keys["text"], purpose), keys["num_bytes"], num_bytes)
    return _read(data_dir, source, members, chosen, cache_bytes)


def _members(
    data_dir: StrPath, source: str, split: str, cache_bytes: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Returns which of the source's documents are in the split, and the keys of those."""
    members = load_split(data_dir, source=source, split=split, cache_bytes=cache_bytes)
    keys = open_documents(data_dir, source, cache_bytes=cache_bytes).keys()
    return members, keys[members]


def _read(
    data_dir: StrPath,
    source: str,
    members: np.ndarray,
    chosen: np.ndarray,
    cache_bytes: int | None,
) -> Iterator[Document]:
    wanted = np.zeros(len(members), bool)
    wanted[np.flatnonzero(members)[chosen]] = True
    return open_documents(data_dir, source, cache_bytes=cache_bytes).read(wanted)
