"""Bytes and tokens of a source by language, from the provenance of the documents in its rows."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from codepretrain.rows.document_tallies import MAX_DOCUMENTS, Tally, tally_documents
from codepretrain.rows.store import RowStore

MAX_LANGUAGES = 12  # listed one by one


@dataclass(frozen=True, kw_only=True)
class Language:
    """Documents of one language. name: "" if not stated; None for all languages not listed."""

    name: str | None
    num_documents: int
    num_bytes: int
    num_tokens: int


@dataclass(frozen=True, kw_only=True)
class Languages:
    """The languages of the examined documents, those with the most bytes first, the rest last.

    num_examined: of num_documents, all or a sample. num_languages: found, listed or not.
    """

    num_examined: int
    num_documents: int
    num_languages: int
    entries: tuple[Language, ...]


def source_languages(
    stores: Sequence[RowStore],
    *,
    max_documents: int = MAX_DOCUMENTS,
    max_languages: int = MAX_LANGUAGES,
) -> Languages:
    """Returns the languages of the documents in some rows.

    Args:
      stores: the splits of one source.
      max_documents: of a split with more, this many are examined, evenly distributed over it.
      max_languages: the languages with fewer bytes are one entry.

    Raises:
      UserError: a record is damaged or cannot be read.
    """
    found = tally_documents(stores, "language", max_documents=max_documents)
    tallies = list(found.by_value.items())
    is_long = len(tallies) > max_languages
    listed = tallies[: max_languages - 1] if is_long else tallies
    entries = [_entry(name, [tally]) for name, tally in listed]
    if is_long:
        entries.append(_entry(None, [tally for _, tally in tallies[len(listed) :]]))
    return Languages(
        num_examined=found.num_examined,
        num_documents=found.num_documents,
        num_languages=len(tallies),
        entries=tuple(entries),
    )


def _entry(name: str | None, tallies: Sequence[Tally]) -> Language:
    return Language(name=name, **dataclasses.asdict(sum(tallies, Tally())))
