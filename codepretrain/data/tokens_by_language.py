"""Bytes per token by source and language, from the provenance of packed documents."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from rich.table import Table

from codepretrain.rows.store import RowStore

OTHER = "other"


@dataclass(frozen=True)
class TokenCounts:
    """num_bytes: UTF-8 bytes of the texts. num_target_tokens: with eos, without bos."""

    num_documents: int = 0
    num_bytes: int = 0
    num_target_tokens: int = 0

    @property
    def bytes_per_token(self) -> float:
        """NaN if there are no tokens."""
        return self.num_bytes / self.num_target_tokens if self.num_target_tokens else float("nan")

    def __add__(self, other: Self) -> "TokenCounts":
        return TokenCounts(
            self.num_documents + other.num_documents,
            self.num_bytes + other.num_bytes,
            self.num_target_tokens + other.num_target_tokens,
        )


def tokens_by_language(
    records: Iterable[Mapping[str, Any]],
) -> dict[tuple[str, str | None], TokenCounts]:
    """Returns the counts of each (source, language), in the order of their names.

    A language of None counts the documents whose origin does not state it. Holds one record at a
    time.

    Args:
      records: provenance with `source`, `language`, `num_bytes` and `num_tokens`, as the rows of a
        source store it for each document; num_tokens includes bos and eos.
    """
    counts: dict[tuple[str, str | None], list[int]] = {}
    for record in records:
        total = counts.setdefault((record["source"], record["language"]), [0, 0, 0])
        total[0] += 1
        total[1] += record["num_bytes"]
        total[2] += record["num_tokens"] - 1
    ordered = sorted(counts, key=lambda key: (key[0], key[1] is None, key[1] or ""))
    return {key: TokenCounts(*counts[key]) for key in ordered}


def document_records(stores: Iterable[RowStore]) -> Iterator[Mapping[str, Any]]:
    """Yields the provenance of every document of the stores, in order.

    Raises:
      UserError: a record is damaged or cannot be read.
    """
    for store in stores:
        for number in range(store.manifest.num_documents):
            yield store.document(number)


def language_table(
    counts: Mapping[tuple[str, str | None], TokenCounts], *, max_languages: int = 10
) -> Table:
    """Returns sources × languages for the terminal; the smallest languages of a source together.

    Args:
      max_languages: of each source, those with the most tokens; the rest are one line.
    """
    table = Table(title="Tokens by language")
    table.add_column("source", no_wrap=True)
    table.add_column("language", no_wrap=True)
    for name in ("documents", "MB", "tokens", "bytes per token"):
        table.add_column(name, justify="right")
    for source in dict.fromkeys(source for source, _ in counts):
        for language, count in _largest(source, counts, max_languages):
            table.add_row(
                source,
                language,
                f"{count.num_documents:,}",
                f"{count.num_bytes / 1e6:.2f}",
                f"{count.num_target_tokens:,}",
                f"{count.bytes_per_token:.2f}",
            )
    return table


def _largest(
    source: str, counts: Mapping[tuple[str, str | None], TokenCounts], max_languages: int
) -> list[tuple[str, TokenCounts]]:
    """Returns a source's languages by falling number of tokens, and the sum of the rest."""
    found = [
        ("not stated" if language is None else language, count)
        for (name, language), count in counts.items()
        if name == source
    ]
    found.sort(key=lambda entry: (-entry[1].num_target_tokens, entry[0]))
    rest = found[max_languages:]
    if len(rest) < 2:
        return found
    total = sum((count for _, count in rest), TokenCounts())
    return [*found[:max_languages], (f"{len(rest)} {OTHER}", total)]
