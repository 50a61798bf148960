"""Sketches of documents: the fixed-width records in which duplicates are sought.

    documents   digest of the text (16) · key of the document (16) · locator (8)
    signatures  digest of the text (16) · low byte of each minimal hash (P)
    bands       key of a band (8) · digest of the text (16)

Workers make sketches of shards; a `DuplicateFinder` collects them in any order.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from codepretrain.data.deduplicate.minhash import band_keys, ngrams_of, signature_of
from codepretrain.data.deduplicate.settings import DeduplicationSettings
from codepretrain.data.document import Document

DIGEST = KEY = 16
LOCATOR = BAND = 8


@dataclass(frozen=True)
class Sketch:
    """The records of some documents: [records, width] uint8 each."""

    documents: np.ndarray
    signatures: np.ndarray
    bands: np.ndarray


def locator_of(shard: int, index: int) -> int:
    """Returns the number that tells where a document is: document `index` of shard `shard`."""
    assert 0 <= shard < 2**32
    assert 0 <= index < 2**32
    return shard << 32 | index


def key_of(document: Document, settings: DeduplicationSettings) -> bytes:
    """Returns the document's key: of a cluster, the document with the smallest key is kept.

    The first byte is the source's place among the preferred ones, the others a hash of source and
    id: the order is arbitrary, but the same whatever the order in which documents are read.
    """
    preferred = settings.preferred_sources
    is_listed = document.source in preferred
    rank = preferred.index(document.source) if is_listed else len(preferred)
    named = f"{document.source}\0{document.id}".encode(errors="surrogatepass")
    return bytes([rank]) + hashlib.blake2b(named, digest_size=KEY - 1).digest()


def sketch(documents: Iterable[tuple[int, Document]], settings: DeduplicationSettings) -> Sketch:
    """Returns the sketch of documents.

    Args:
      documents: each with its locator. Sources and ids identify documents: they must be unique.
    """
    seen: set[bytes] = set()
    found, signatures, bands = [], [], []
    for locator, document in documents:
        text = document.text.encode(errors="surrogatepass")
        digest = hashlib.blake2b(text, digest_size=DIGEST).digest()
        found.append(digest + key_of(document, settings) + locator.to_bytes(LOCATOR, "big"))
        ngrams = ngrams_of(document.text, settings.ngram_size)
        if digest in seen or not len(ngrams):
            continue
        seen.add(digest)
        signature = signature_of(ngrams, settings.num_permutations)
        signatures.append(digest + (signature & np.uint32(255)).astype(np.uint8).tobytes())
        keys = band_keys(signature, settings).astype(">u8")
        bands += [key.tobytes() + digest for key in keys]
    return Sketch(
        documents=_records(found, DIGEST + KEY + LOCATOR),
        signatures=_records(signatures, DIGEST + settings.num_permutations),
        bands=_records(bands, BAND + DIGEST),
    )


def _records(rows: list[bytes], width: int) -> np.ndarray:
    return np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), width)
