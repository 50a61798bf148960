"""What became of all that was read, by source: every row adds up."""

from collections.abc import Mapping

from codepretrain.data.filters.drop_report import DropReport
from codepretrain.data.reading.documents import DocumentsManifest
from codepretrain.data.selection.selected import SelectionManifest
from codepretrain.data.uncut_table import UncutTable

# The columns after "read", whose sum it is: in the order in which they are decided.
_DROPPED = ("over_limit", "contaminated", "held_out_copy", "exact_duplicate", "near_duplicate")
COLUMNS = ("skipped", "filtered", *_DROPPED, "validation", "train")
_TITLES = {
    "exact_duplicate": "exact dup.",
    "near_duplicate": "near dup.",
    "contaminated": "contam.",
    "over_limit": "over limit",
    "held_out_copy": "held-out copy",
    "validation": "held out",
}


def selection_counts(
    documents: Mapping[str, DocumentsManifest], selection: SelectionManifest
) -> dict[str, dict[str, int]]:
    """Returns source → column → number of documents.

    "read" are the reader's documents and skipped pieces, "skipped" those that it or the limits of
    its options left out, and "filtered" those that the filters dropped.
    """
    counts = {}
    for source, manifest in documents.items():
        report = DropReport.from_json(manifest.drop_report)
        skipped = sum(manifest.skipped.values())
        filtered = sum(tally.documents for tally in report.dropped.values())
        counts[source] = {
            "read": skipped + filtered + manifest.num_documents,
            "skipped": skipped,
            "filtered": filtered,
            **selection.num_documents[source],
        }
    return counts


def selection_table(
    documents: Mapping[str, DocumentsManifest], selection: SelectionManifest
) -> UncutTable:
    """Returns the counts for the terminal, without columns in which every source has 0."""
    counts = selection_counts(documents, selection)
    shown = ["read"] + [
        name
        for name in COLUMNS
        if name in ("train", "validation") or any(found[name] for found in counts.values())
    ]
    table = UncutTable("Documents: read = all other columns")
    table.add_column("source", no_wrap=True)
    for name in shown:
        table.add_column(_TITLES.get(name, name), justify="right")
    for source, found in counts.items():
        table.add_row(source, *(f"{found[name]:,}" for name in shown))
    return table


def selection_lines(selection: SelectionManifest) -> list[str]:
    """Returns sentences on the evaluation sets and on components that are too large."""
    lines = [
        f"compared with {name}: {found.num_items:,} items in {found.num_files:,} files"
        + (f", {found.num_too_short:,} too short to be sought" if found.num_too_short else "")
        for name, found in selection.benchmarks.items()
    ]
    if selection.num_too_large:
        lines.append(
            f"{selection.num_too_large:,} documents are trained on because they are connected with "
            "more documents than are held out"
        )
    return lines
