"""Keys of documents: what decides the selection and samples, without the texts.

    keys.npy [n]   group: uint64    hash of the group; without one, of the source and the id
                   text: uint64     hash of the text
                   num_bytes: uint32

One entry a document, in reading order. One group or text has one key in every source. Ids do not:
files of different corpora may have one name (`data/selection/same_records.py`).
"""

import hashlib
from array import array
from functools import cache
from pathlib import Path

import numpy as np

from codepretrain.data.document import Document
from codepretrain.files.explain import explained
from codepretrain.files.storage import StrPath
from codepretrain.rows.records import open_array

KEYS = "keys.npy"
KEY_TYPE = np.dtype([("group", "<u8"), ("text", "<u8"), ("num_bytes", "<u4")])
_GROUP, _TEXT, _SOURCE = b"codepretrain group", b"codepretrain text", b"codepretrain source"
_DIGEST_BYTES = 16


def group_key(document: Document) -> int:
    """Returns the key of the document's group, or of the document alone if it has none."""
    if document.group is not None:
        return _key(document.group)
    return _key(document.id) ^ source_key(document.source)


@cache
def source_key(source: str) -> int:
    """Returns what, with the key of an id, gives the key of a document without a group (xor)."""
    return _key(source, key=_SOURCE)


def group_joins(document: Document) -> list[tuple[int, int]]:
    """Returns the joins of the document's group with its other groups: pairs of keys."""
    group = group_key(document)
    return [(group, _key(other)) for other in document.other_groups]


def _key(name: str, *, key: bytes = _GROUP) -> int:
    digest = hashlib.blake2b(name.encode(errors="replace"), digest_size=8, key=key)
    return int.from_bytes(digest.digest(), "little")


def text_digest(text: bytes) -> bytes:
    """Returns 16 bytes that identify a text."""
    return hashlib.blake2b(text, digest_size=_DIGEST_BYTES, key=_TEXT).digest()


class KeysWriter:
    """Collects the keys of documents: 20 bytes each."""

    def __init__(self) -> None:
        self._groups, self._texts, self._num_bytes = array("Q"), array("Q"), array("I")

    def add(self, document: Document, digest: bytes) -> None:
        """Adds a document. digest: what `text_digest` returned for its text."""
        self._groups.append(group_key(document))
        self._texts.append(int.from_bytes(digest[:8], "little"))
        self._num_bytes.append(document.num_bytes)

    def save(self, folder: Path) -> None:
        """Writes `keys.npy`."""
        keys = np.empty(len(self._groups), KEY_TYPE)
        keys["group"], keys["text"] = self._groups, self._texts
        keys["num_bytes"] = self._num_bytes
        with explained("write", folder / KEYS):
            np.save(folder / KEYS, keys)


def load_keys(path: StrPath, *, num_keys: int, shown_as: StrPath, remedy: str) -> np.ndarray:
    """Returns the keys of documents: [num_keys], of `KEY_TYPE`.

    Args:
      shown_as: the path for messages, where `path` is a copy in a cache.
      remedy: the fix for damage, for the message.

    Raises:
      UserError: the file is missing or damaged.
    """
    return np.array(
        open_array(path, shape=(num_keys,), dtype=KEY_TYPE, shown_as=shown_as, remedy=remedy)
    )
