"""Lists the rows and documents of any batch of a phase."""

from collections.abc import Mapping
from typing import Any

from codepretrain.errors import UserError
from codepretrain.rows.format import Row
from codepretrain.rows.store import RowStore
from codepretrain.stream.ledger import LedgerKeeper
from codepretrain.stream.order import RowOrder


def list_batch(
    order: RowOrder, stores: Mapping[str, RowStore], *, step: int, parent_digest: str = ""
) -> dict[str, Any]:
    """Returns batch `step`: each row's place in the order and its documents, and the digests.

    `position` counts rows from the beginning of the phase. A document's `offset` and `num_tokens`
    say which of its tokens are in the row. Needs no accelerator.

    Raises:
      UserError: the phase has no such step, or a record is damaged.
    """
    if not 0 <= step < order.num_steps:
        raise UserError(f"--step: the phase has steps 0 to {order.num_steps - 1:,}, got {step:,}")
    keeper = LedgerKeeper(order, stores, parent_digest=parent_digest)
    before = keeper.advance_to(step)
    after = keeper.advance(step)
    rows_of_batch = order.batch(step)
    rows = []
    for offset in range(order.batch_size):
        source = order.sources[rows_of_batch.source_index[offset]]
        record = int(rows_of_batch.record[offset])
        rows.append(
            {
                "position": step * order.batch_size + offset,
                "source": source,
                "ordinal": int(rows_of_batch.ordinal[offset]),
                "epoch": int(rows_of_batch.epoch[offset]),
                "record": record,
                "documents": _documents(stores[source], stores[source][record]),
            }
        )
    return {
        "step": step,
        "digest_before": before.digest,
        "digest_after": after.digest,
        "rows": rows,
    }


def _documents(store: RowStore, row: Row) -> list[dict[str, Any]]:
    """Returns provenance and extent of each segment of a document in the row, in order."""
    segments = zip(
        row.documents.tolist(),
        row.document_offsets.tolist(),
        row.segment_lengths.tolist(),
        strict=True,
    )
    listed = []
    for document, offset, length in segments:
        provenance = store.document(document)
        listed.append(
            {
                "document": document,
                **{name: provenance.get(name) for name in ("id", "origin", "language", "license")},
                "metadata": provenance.get("metadata") or {},
                "offset": offset,
                "num_tokens": length,
            }
        )
    return listed


def render_batch(listing: Mapping[str, Any]) -> str:
    """Returns the listing as a compact table, one line per document."""
    header: tuple[str, ...] = (
        "position",
        "source",
        "ordinal",
        "epoch",
        "record",
        "tokens",
        "of document",
        "origin",
    )
    table = [header]
    for row in listing["rows"]:
        place = [str(row[name]) for name in ("position", "source", "ordinal", "epoch", "record")]
        for document in row["documents"] or [{}]:
            table.append((*place, *_extent(document)))
            place = [""] * len(place)
    widths = [max(len(line[column]) for line in table) for column in range(len(header))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    ]
    return "\n".join(
        [
            f"step {listing['step']}",
            f"digest before  {listing['digest_before'] or '(none)'}",
            f"digest after   {listing['digest_after']}",
            "",
            *lines,
        ]
    )


def _extent(document: Mapping[str, Any]) -> tuple[str, str, str]:
    """Returns tokens, document id and origin as cells."""
    if not document:
        return "", "", ""
    first, length = document["offset"], document["num_tokens"]
    known = [str(document[name]) for name in ("origin", "language", "license") if document[name]]
    known += [f"{name}={' '.join(text.split())}" for name, text in document["metadata"].items()]
    return f"[{first}, {first + length})", str(document["id"]), " · ".join(known)
