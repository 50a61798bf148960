"""The tables of a study's data as rows of text, for the data card and the terminal.

They show what `codepretrain data describe --json` prints, the description.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from codepretrain.report.wording import NOT_THERE, bytes_text, tokens_text

Description = Mapping[str, Any]

# What became of documents, in the order of the description; skipped pieces have no bytes.
FATES = {
    "skipped": "skipped",
    "filtered": "filtered",
    "exact_duplicate": "exact duplicates",
    "near_duplicate": "near duplicates",
    "contaminated": "contaminated",
    "over_limit": "over limit",
    "held_out_copy": "copies of held-out",
    "train": "train",
    "validation": "validation",
}
ALL = "all sources"


@dataclass(frozen=True)
class Table:
    """Titles of the columns after the first one, and rows: (first cell, the others)."""

    titles: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]


def fate_totals(source: Mapping[str, Any], field: str) -> dict[str, int]:
    """Returns fate → documents or bytes. field: "num_documents" or "num_bytes"."""
    totals = dict.fromkeys(FATES, 0)
    for entry in source["fates"]["fates"]:
        totals[entry["fate"]] += entry[field] or 0
    return totals


def fate_table(description: Description) -> Table:
    """Returns documents and bytes by fate, a row each; those of "read" are the sum of the others.

    Redactions have bytes only: by how much they made kept documents shorter.
    """
    rows = []
    for name, source in description["sources"].items():
        documents, sizes = (fate_totals(source, f) for f in ("num_documents", "num_bytes"))
        found = source["fates"]
        read = ("read", f"{found['num_read']:,}", bytes_text(found["num_bytes_read"]))
        rows.append((name, read))
        for fate, title in FATES.items():
            if documents[fate] or fate in ("train", "validation"):
                size = NOT_THERE if fate == "skipped" else bytes_text(sizes[fate])
                rows.append((name, (title, f"{documents[fate]:,}", size)))
        if found["num_redacted_bytes"]:
            rows.append((name, ("redacted", NOT_THERE, bytes_text(found["num_redacted_bytes"]))))
    return Table(("what became of it", "documents", "text"), tuple(rows))


def document_table(description: Description) -> Table:
    """Returns the documents that were read, and what became of them: rows add up."""
    return _fate_table(description, "num_read", "num_documents", lambda count: f"{count:,}")


def byte_table(description: Description) -> Table:
    """Returns the same in bytes; `redacted` is what redactions made kept documents shorter."""
    return _fate_table(description, "num_bytes_read", "num_bytes", bytes_text)


def _fate_table(description: Description, read: str, field: str, text: Any) -> Table:
    counts = {}
    for name, source in description["sources"].items():
        totals = fate_totals(source, field)
        counts[name] = {"read": source["fates"][read], **totals}
        if field == "num_bytes":
            del counts[name]["skipped"]
            counts[name]["redacted"] = source["fates"]["num_redacted_bytes"]
    if len(counts) > 1:
        counts[ALL] = {
            key: sum(count[key] for count in counts.values()) for key in next(iter(counts.values()))
        }
    shown = [
        key
        for key in next(iter(counts.values()))
        if key in ("read", "train", "validation") or any(c[key] for c in counts.values())
    ]
    return Table(
        tuple(FATES.get(key, key) for key in shown),
        tuple((name, tuple(text(count[key]) for key in shown)) for name, count in counts.items()),
    )


def reason_rows(description: Description) -> list[dict[str, Any]]:
    """Returns why documents were skipped or filtered, by source, with examples."""
    rows = []
    for name, source in description["sources"].items():
        for entry in source["fates"]["fates"]:
            if entry["fate"] in ("skipped", "filtered"):
                rows.append(
                    {
                        "source": name,
                        "by": entry["filter"] or "reader",
                        "reason": entry["reason"],
                        "documents": f"{entry['num_documents']:,}",
                        "bytes": _known(entry["num_bytes"], bytes_text),
                        "examples": entry["examples"],
                    }
                )
    return rows


def dropped_language_rows(description: Description) -> list[tuple[str, ...]]:
    """Returns (source, filter, reason, language, documents, bytes) of what filters dropped."""
    return [
        (
            entry["source"],
            entry["filter"],
            entry["reason"],
            entry["language"] or "not stated",
            f"{entry['documents']:,}",
            bytes_text(entry["bytes"]),
        )
        for source in description["sources"].values()
        for entry in source["drop_report"]["dropped"]
    ]


def row_table(description: Description) -> Table:
    """Returns the packed rows of each source and split."""
    rows = []
    for name, source in description["sources"].items():
        for split, found in source["rows"].items():
            cells = (
                split,
                f"{found['num_documents']:,}",
                bytes_text(found["num_bytes"]),
                tokens_text(found["num_tokens"]),
                f"{found['num_rows']:,}",
                _known(found["fill"], lambda fill: f"{100 * fill:.1f}%"),
                _known(found["bytes_per_token"], lambda ratio: f"{ratio:.2f}"),
                f"{found['num_split_documents']:,}",
            )
            rows.append((name, cells))
    titles = ("split", "documents", "text", "tokens", "rows", "fill", "bytes per token")
    return Table((*titles, "split documents"), tuple(rows))


def language_table(description: Description) -> Table:
    """Returns documents, bytes and bytes per token of each source's languages."""
    rows = []
    for name, source in description["sources"].items():
        entries = source["languages"]["entries"]
        num_bytes = sum(entry["num_bytes"] for entry in entries)
        for entry in entries:
            cells = (
                language_name(source["languages"], entry),
                f"{entry['num_documents']:,}",
                bytes_text(entry["num_bytes"]),
                f"{100 * entry['num_bytes'] / num_bytes:.1f}%" if num_bytes else NOT_THERE,
                tokens_text(entry["num_tokens"]),
                f"{entry['num_bytes'] / entry['num_tokens']:.2f}",
            )
            rows.append((name, cells))
    titles = ("language", "documents", "text", "share of text", "tokens", "bytes per token")
    return Table(titles, tuple(rows))


def language_name(languages: Mapping[str, Any], entry: Mapping[str, Any]) -> str:
    """Returns a language's name, or how many languages are summed."""
    if entry["name"] is None:
        listed = len(languages["entries"]) - 1
        return f"{languages['num_languages'] - listed:,} others"
    return entry["name"] or "not stated"


def path_table(description: Description) -> Table:
    """Returns how often each variant's path reads its sources by its end."""
    available = description["use"]["available"]
    rows = []
    for variant in description["use"]["variants"]:
        for source, found in variant["sources"].items():
            cells = (
                source,
                tokens_text(found["tokens"]),
                _known(available[source], tokens_text),
                _known(found["epochs"], lambda epochs: f"{epochs:.2f}"),
                _known(found["most_reads"], lambda reads: f"{reads:,}"),
                f"{found['max_epochs']:g}",
            )
            rows.append((variant["variant"], cells))
    titles = ("source", "tokens read", "tokens available", "epochs", "most reads of a row", "cap")
    return Table(titles, tuple(rows))


def phase_table(description: Description) -> Table:
    """Returns the share, tokens and epochs of each source in each phase by itself, a row each."""
    rows = []
    for phase in description["use"]["phases"]:
        for source, found in phase["sources"].items():
            cells = (
                phase["parent"] or NOT_THERE,
                source,
                f"{100 * found['share']:.1f}%",
                tokens_text(found["tokens"]),
                _known(found["epochs"], lambda epochs: f"{epochs:.2f}"),
            )
            rows.append((phase["name"], cells))
    return Table(("parent", "source", "share", "tokens", "epochs"), tuple(rows))


def overlap_table(description: Description) -> Table:
    """Returns what pairs of sources share, as read and in rows, unless they share nothing."""
    rows = []
    for pair in description["overlap"]["pairs"]:
        if not any(pair["read"].values()):  # nor in rows, which are of what was read
            continue
        for stage, label in (("read", "as read"), ("used", "in rows")):
            found = pair[stage]
            cells = (
                label,
                f"{found['num_texts']:,}",
                bytes_text(found["num_bytes"]),
                f"{found['num_groups']:,}",
                _known(found["num_clusters"], lambda count: f"{count:,}"),
            )
            rows.append((" and ".join(pair["sources"]), cells))
    titles = ("stage", "equal texts", "their size", "groups", "equal or similar texts")
    return Table(titles, tuple(rows))


def split_table(description: Description) -> Table:
    """Returns what is on both sides of the split, of all that is used."""
    found = description["split"]
    names = {
        "groups": "groups",
        "texts": "texts",
        "clusters": "clusters of similar texts",
        "joined": "pairs of groups that a document joins",
    }
    rows = []
    for key, name in names.items():
        counts = (f"num_{key}", f"{key}_held_out", f"{key}_on_both_sides")
        rows.append((name, tuple(_count(found[count]) for count in counts)))
    return Table(("used", "held out", "on both sides"), tuple(rows))


def benchmark_table(description: Description) -> Table:
    """Returns the evaluation sets that were sought, and the documents that contain them."""
    rows = []
    for name, found in description["decontamination"].items():
        sources = [
            f"{source} {counts['num_documents']:,} ({bytes_text(counts['num_bytes'])})"
            for source, counts in found["sources"].items()
        ]
        cells = (
            f"{found['num_items']:,}",
            f"{found['num_too_short']:,}",
            f"{found['num_items_found']:,}",
            ", ".join(sources) or "none",
            found["sha256"][:16],
        )
        rows.append((name, cells))
    titles = ("items", "too short", "items found", "documents that contain them", "SHA-256")
    return Table(titles, tuple(rows))


def _known(value: Any, text: Any) -> str:
    return NOT_THERE if value is None else text(value)


def _count(value: int | None) -> str:
    return NOT_THERE if value is None else f"{value:,}"


def length_table(description: Description) -> Table:
    """Returns percentiles of the lengths of used documents."""
    names = {"p5": "5%", "median": "median", "p95": "95%", "longest": "longest"}
    return Table(
        tuple(names.values()),
        tuple(
            (name, tuple(_known(source["lengths"].get(key), bytes_text) for key in names))
            for name, source in description["sources"].items()
        ),
    )
