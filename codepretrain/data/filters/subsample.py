"""Keeps a random share of the documents: a control that is a small part of a source."""

import hashlib
from dataclasses import dataclass

from codepretrain.data.document import Document
from codepretrain.data.filters.filter import Filter

_RANGE = 2**64


@dataclass(frozen=True, kw_only=True)
class Subsample(Filter):
    """Keeps the documents whose id has a hash in the first `share` of all hashes.

    So the kept documents have the languages and the qualities of the source, a smaller share is
    part of a larger one, and another order of the raw files keeps the same documents.
    """

    share: float = 1.0

    def judge(self, document: Document) -> str | None:
        digest = hashlib.blake2b(document.id.encode("utf-8", "surrogatepass"), digest_size=8)
        is_kept = int.from_bytes(digest.digest(), "big") < self.share * _RANGE
        return None if is_kept else "not_in_sample"
