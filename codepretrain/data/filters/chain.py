"""Applies a source's filters to its documents, in their order, and counts what they do."""

from collections.abc import Sequence

from codepretrain.data.document import Document
from codepretrain.data.filters.drop_report import DropReport
from codepretrain.data.filters.filter import Filter, Redactor


def apply_filters(
    document: Document,
    filters: Sequence[tuple[str, Filter | Redactor]],
    report: DropReport,
) -> Document | None:
    """Returns the document with its redactions, or None if a filter dropped it.

    The first filter that drops a document is the one that is counted, with the document as it was
    read: bytes of dropped documents are those before redactions. Kept bytes are counted before
    redactions too, so that bytes add up.

    Args:
      filters: names and filters, applied in this order.
      report: counts the document.
    """
    redacted = document
    counted = []
    for name, step in filters:
        if isinstance(step, Redactor):
            redacted, counts = step.redact(redacted)
            counted.append((name, counts))
            continue
        reason = step.reason(redacted)
        if reason is not None:
            report.drop(document, name, reason)
            return None
    report.keep(document)
    for name, counts in counted:
        report.redact(document, name, counts)
    return redacted
