"""The account of what a phase has read per source, requested and actual, and a digest of the rows.

It is computed from the row order and the per-row statistics of the sources, without reading rows.
The ledger at a step is the same whether it was updated batch by batch or computed afterwards; a
resumed run compares the two.

The digest is a hash chain over the ids of all rows since the beginning of the study path. A row's
id has 20 bytes, little-endian: 8 of the sha256 of its source's name, 4 of its epoch, 8 of its
record.

    d_0 = the parent's digest where this phase branches off ("" for the first)
    d_{t+1} = sha256(d_t ‖ ids of the rows of batch t, in order)
"""

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from codepretrain.errors import DamageError, UserError
from codepretrain.files.explain import shown
from codepretrain.files.storage import MissingFileError, StrPath, read_json
from codepretrain.rows.store import RowStore
from codepretrain.stream.order import OrderedRows, RowOrder

_ROW_ID = np.dtype([("source", "<u8"), ("epoch", "<u4"), ("record", "<u8")])
_CHUNK_ROWS = 1 << 19


@dataclass(frozen=True, kw_only=True)
class SourceLedger:
    """One source in one phase.

    Of the phase so far: requested_rows: Σ weight · rows. rows: rows read. tokens: rows ·
    max_seq_len. target_tokens: tokens that train the model. documents: documents begun. bytes:
    UTF-8 bytes of the target tokens.
    Of the source's cursor: ordinal: rows that it has drawn. start_ordinal: the same when the phase
    began. A phase with data_order="restart" starts a new cursor at 0.
    Of the whole study path: path_rows: rows drawn by this cursor and by those before a restart.
    epochs: path_rows / rows that the source holds.
    """

    requested_rows: float
    rows: int
    tokens: int
    target_tokens: int
    documents: int
    bytes: int
    start_ordinal: int
    ordinal: int
    path_rows: int
    epochs: float


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """The account of a phase after its first `step` batches.

    manifests: hash of each source's rows manifest. digest: hex, "" if no row was ever read.
    """

    step: int
    sources: Mapping[str, SourceLedger]
    manifests: Mapping[str, str]
    digest: str

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Ledger":
        """Raises UserError when fields are missing or unknown."""
        try:
            sources = {name: SourceLedger(**entry) for name, entry in value["sources"].items()}
            return cls(**{**value, "sources": sources})
        except (KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"expected a ledger of this version of codepretrain, found other fields: {error}"
            ) from error


class LedgerKeeper:
    """Keeps a phase's ledger, batch by batch or up to any step at once."""

    def __init__(
        self, order: RowOrder, stores: Mapping[str, RowStore], *, parent_digest: str = ""
    ) -> None:
        """parent_digest: of the parent's ledger at the step where this phase branches off."""
        self.step = 0
        self._order = order
        self._stats = {source: stores[source].stats for source in order.sources}
        self._manifests = {source: stores[source].manifest.hash for source in order.sources}
        self._max_seq_len = {
            source: stores[source].manifest.max_seq_len for source in order.sources
        }
        self._digest = bytes.fromhex(parent_digest)
        self._totals = np.zeros((len(order.sources), 3), np.int64)  # documents, bytes, targets
        self._name_hashes = np.array([name_hash(source) for source in order.sources], np.uint64)

    def advance(self, step: int) -> Ledger:
        """Adds batch `step`, which must be the next one, and returns the ledger after it."""
        assert step == self.step, f"batch {step} after {self.step} batches"
        return self.advance_to(step + 1)

    def advance_to(self, step: int) -> Ledger:
        """Adds all batches before `step` and returns the ledger there."""
        assert self.step <= step <= self._order.num_steps, (self.step, step, self._order.num_steps)
        stride = max(1, _CHUNK_ROWS // self._order.batch_size)
        while self.step < step:
            stop = min(self.step + stride, step)
            batch_size = self._order.batch_size
            self._add(self._order.rows(self.step * batch_size, stop * batch_size))
            self.step = stop
        return self.ledger()

    def ledger(self) -> Ledger:
        """Returns the ledger after the batches added so far."""
        num_rows = self.step * self._order.batch_size
        counts = self._order.counts(num_rows)
        requested = self._order.requested(num_rows)
        entries = {}
        for index, source in enumerate(self._order.sources):
            documents, num_bytes, targets = self._totals[index].tolist()
            path_rows = self._order.path_rows_before[source] + counts[source]
            entries[source] = SourceLedger(
                requested_rows=float(requested[source]),
                rows=counts[source],
                tokens=counts[source] * self._max_seq_len[source],
                target_tokens=targets,
                documents=documents,
                bytes=num_bytes,
                start_ordinal=self._order.start_ordinals[source],
                ordinal=self._order.start_ordinals[source] + counts[source],
                path_rows=path_rows,
                epochs=path_rows / self._order.rows_available[source],
            )
        return Ledger(
            step=self.step,
            sources=entries,
            manifests=dict(self._manifests),
            digest=self._digest.hex(),
        )

    def _add(self, rows: OrderedRows) -> None:
        """Adds a whole number of batches to totals and digest."""
        for index, source in enumerate(self._order.sources):
            records = rows.record[rows.source_index == index]
            if records.size:
                self._totals[index] += self._stats[source][records].sum(axis=0, dtype=np.int64)
        ids = np.empty(len(rows.record), _ROW_ID)
        ids["source"] = self._name_hashes[rows.source_index]
        ids["epoch"] = rows.epoch
        ids["record"] = rows.record
        encoded = memoryview(ids.tobytes())
        batch_bytes = self._order.batch_size * _ROW_ID.itemsize
        for start in range(0, len(encoded), batch_bytes):
            link = hashlib.sha256(self._digest)
            link.update(encoded[start : start + batch_bytes])
            self._digest = link.digest()


def name_hash(source: str) -> int:
    """Returns the 8 bytes that represent a source's name in a row's id."""
    return int.from_bytes(hashlib.sha256(source.encode()).digest()[:8], "little")


def check_resume(stored: Ledger, recomputed: Ledger) -> None:
    """Checks that a checkpoint's ledger is the one that the config and the data on disk give.

    Raises:
      UserError: names what differs: sources, rows on disk, counts, or only the rows' order.
    """
    assert stored.step == recomputed.step, (stored.step, recomputed.step)
    differences = _changed_sources(stored, recomputed) or _changed_counts(stored, recomputed)
    if not differences and stored.digest != recomputed.digest:
        differences = ["the counts agree, but the rows or their order do not (digest)"]
    if differences:
        raise UserError(
            f"the checkpoint at step {stored.step} does not belong to this config and data: "
            f"{'; '.join(differences)}; restore the config and the data, or use a new --workdir"
        )


def _changed_sources(stored: Ledger, recomputed: Ledger) -> list[str]:
    was, now = stored.manifests, recomputed.manifests
    return [
        *(f"source {source!r} is missing now" for source in sorted(was.keys() - now.keys())),
        *(f"source {source!r} was not read then" for source in sorted(now.keys() - was.keys())),
        *(
            f"the rows of {source!r} changed (manifest {was[source][:12]} → {now[source][:12]})"
            for source in sorted(was.keys() & now.keys())
            if was[source] != now[source]
        ),
    ]


def _changed_counts(stored: Ledger, recomputed: Ledger) -> list[str]:
    """Compares the rows read, not `requested_rows`: different weights may give the same rows."""
    differences = []
    for source in sorted(stored.sources):
        was = dataclasses.asdict(stored.sources[source])
        now = dataclasses.asdict(recomputed.sources[source])
        differences += [
            f"{name} of {source!r}: {was[name]:,} then, {now[name]:,} now"
            for name in was
            if was[name] != now[name] and name != "requested_rows"
        ]
    return differences


def saved_step(path: StrPath) -> int:
    """Returns the step of a run's `ledger.json`, 0 if there is none.

    Raises:
      UserError: the file is damaged.
    """
    try:
        step = read_json(path).get("step")
    except MissingFileError:
        return 0
    if not isinstance(step, int) or isinstance(step, bool):
        raise DamageError(
            f'{shown(path)} is damaged: expected a whole number in "step", found {step!r:.40}; '
            "restore it from a copy, or delete it and rerun the same command"
        )
    return step
