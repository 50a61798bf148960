"""The ledger of an average: it reads nothing, and stands where its furthest member stands."""

import hashlib
from collections.abc import Mapping, Sequence

from codepretrain.rows.store import RowStore
from codepretrain.stream.ledger import Ledger, SourceLedger
from codepretrain.study.phase import AveragePhase


def average_ledger(
    phase: AveragePhase, stores: Mapping[str, RowStore], *, digests: Sequence[str]
) -> Ledger:
    """Returns the ledger at the end of an average, with each source that a member's path has read.

    Rows, tokens, documents and bytes are those of the average itself: none. Cursors and path rows
    are the largest of any member (`study/phase.py`). The digest is the SHA-256 of the members'
    digests, in order, so that the digests of later phases depend on all that any member has read.

    Args:
      digests: of the members' ledgers, in order.
    """
    step = phase.num_steps
    cursors = phase.ordinals_at(step)
    draws = {source: rows for source, rows in phase.draws_at(step).items() if sum(rows)}
    sources = {
        source: SourceLedger(
            requested_rows=0.0,
            rows=0,
            tokens=0,
            target_tokens=0,
            documents=0,
            bytes=0,
            start_ordinal=cursors.get(source, 0),
            ordinal=cursors.get(source, 0),
            path_rows=sum(rows),
            epochs=sum(rows) / len(stores[source]),
        )
        for source, rows in draws.items()
    }
    chained = hashlib.sha256()
    for digest in digests:
        chained.update(bytes.fromhex(digest))
    return Ledger(
        step=step,
        sources=sources,
        manifests={source: stores[source].manifest.hash for source in sources},
        digest=chained.hexdigest(),
    )
