"""The table of what the filters of each source did, for the terminal."""

from collections import defaultdict
from collections.abc import Mapping

from codepretrain.data.filters.drop_report import DropReport, Tally
from codepretrain.data.reading.documents_manifest import DocumentsManifest
from codepretrain.data.uncut_table import UncutTable


def drop_table(documents: Mapping[str, DocumentsManifest]) -> UncutTable | None:
    """Returns a row for each source, filter and reason, and for what was kept.

    None if no filter did anything. Languages are added up; the manifests tell them apart.
    """
    table = UncutTable("Filtered documents")
    for name in ("source", "filter", "reason"):
        table.add_column(name, no_wrap=True)
    for name in ("documents", "share", "MB"):
        table.add_column(name, justify="right")
    for source, manifest in documents.items():
        _add_rows(table, source, DropReport.from_json(manifest.drop_report))
    return table if table.rows else None


def _add_rows(table: UncutTable, source: str, report: DropReport) -> None:
    dropped: defaultdict[tuple[str, str], Tally] = defaultdict(Tally)
    for key, tally in report.dropped.items():
        dropped[key.filter, key.reason].merge(tally)
    num_read = max(1, report.read(source)[0])
    for (name, reason), tally in sorted(dropped.items()):
        table.add_row(source, name, reason, *_numbers(tally, num_read))
    for (_, name, kind), count in sorted(report.redacted.items()):
        if not kind:
            share = f"{count / num_read:.2%}"
            table.add_row(source, name, "redacted", f"{count:,}", share, "")
    if dropped or report.redacted:
        table.add_row(source, "", "kept", *_numbers(report.kept[source], num_read))


def _numbers(tally: Tally, num_read: int) -> tuple[str, str, str]:
    share = tally.documents / num_read
    return f"{tally.documents:,}", f"{share:.2%}", f"{tally.num_bytes / 1e6:.2f}"
