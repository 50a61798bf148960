"""Documents of a language in which the effect of code is known (`data/controlled_language.py`)."""

import functools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from codepretrain.config.parse import suggestion
from codepretrain.data.controlled_language import (
    PAGE_STORY_SHARE,
    Bindings,
    Tables,
    code,
    draw_bindings,
    draw_story,
    page,
    scrambled_code,
)
from codepretrain.data.document import Document, Skipped
from codepretrain.data.readers.reader import RawFile, Reader
from codepretrain.errors import UserError
from codepretrain.files.hashing import sha256_json

CONTENTS = ("text", "code", "scrambled_code")
_DOCUMENTS_PER_SHARD = 4096
_PROBED_DOCUMENTS = 64
_MAX_DOCUMENTS = 1 << 40


@dataclass(frozen=True, kw_only=True)
class Controlled(Reader):
    """The first `num_documents` documents of `seed`: pages of text, programs, or scrambled ones.

    Program k of `scrambled_code` is program k of `code` with other values printed. A document's
    group is its bindings, in every source: the bindings of a held-out story are in no program and
    in no other story that is trained on. A page without a story is a group of its own.
    """

    contents: str
    num_documents: int
    seed: int = 0

    def shards(self) -> Sequence[range]:
        if self.contents not in CONTENTS:
            near = suggestion(self.contents, CONTENTS)
            raise UserError(f"reader 'controlled': contents: there is no {self.contents!r}{near}")
        if not 1 <= self.num_documents <= _MAX_DOCUMENTS:
            raise UserError(
                f"reader 'controlled': num_documents: expected 1 to {_MAX_DOCUMENTS:,}, found "
                f"{self.num_documents}"
            )
        size = _DOCUMENTS_PER_SHARD
        starts = range(0, self.num_documents, size)
        return [range(start, min(start + size, self.num_documents)) for start in starts]

    def files(self, shard: range) -> Sequence[RawFile]:
        return [RawFile("", "language", version=_language_version())]

    def read(self, shard: range, source: str) -> Iterator[Document | Skipped]:
        tables = Tables(self.seed)
        for number in shard:
            yield self.document(number, tables, source)

    def document(self, number: int, tables: Tables, source: str) -> Document:
        """Returns one document, a function of the options and its number."""
        if self.contents == "text":
            rng = random.Random(f"{self.seed}/text/{number}")
            bindings = draw_story(rng) if rng.random() < PAGE_STORY_SHARE else None
            words = page(bindings, tables, rng)
        else:  # equal draws: a program and its scrambled form
            rng = random.Random(f"{self.seed}/code/{number}")
            bindings = draw_bindings(rng)
            words = (code if self.contents == "code" else scrambled_code)(bindings, rng)
        return Document(
            id=f"{self.contents}/{number:08d}",
            text="".join(f" {word}" for word in words),
            source=source,
            origin=f"seed {self.seed} {self.contents} {number}",
            group=None if bindings is None else _group(bindings),
            license="Apache-2.0",
        )


def _group(bindings: Bindings) -> str:
    return "bindings:" + " ".join(f"{name}={bound}" for name, bound in sorted(bindings))


@functools.cache
def _language_version() -> str:
    """Returns a hash of the first documents of every kind, which changes with the language."""
    tables = Tables(0)
    documents = [
        [document.text, document.group]
        for contents in CONTENTS
        for number in range(_PROBED_DOCUMENTS)
        for document in [
            Controlled(contents=contents, num_documents=1).document(number, tables, "probe")
        ]
    ]
    return sha256_json({"documents": documents})[:16]
