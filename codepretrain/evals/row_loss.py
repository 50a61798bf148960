"""Loss of sampled documents, computed row by row in batches on the mesh of the parameters."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np
from jax.sharding import Mesh

from codepretrain import interrupt
from codepretrain.config.schema import StudyConfig
from codepretrain.evals.placement import place_rows, rows_per_batch
from codepretrain.evals.progress import Progress
from codepretrain.evals.scored_rows import ScoredRow
from codepretrain.hosts import gather
from codepretrain.model.transformer import Params
from codepretrain.stream.batch import Batch, batch_from_rows
from codepretrain.train.step import make_eval_step


class ScoredRows(Protocol):
    """Rows by number; every process reads the same ones."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> ScoredRow: ...


class DocumentSums(NamedTuple):
    """Of each document: Σ nats, number of targets and their UTF-8 bytes, [N] each."""

    nats: np.ndarray  # float64
    num_targets: np.ndarray  # int64
    num_bytes: np.ndarray  # int64


class RowLoss:
    """Sums over the counted targets of documents, which may be in several rows."""

    def __init__(
        self, config: StudyConfig, mesh: Mesh, *, batch_size: int, bytes_of_token: np.ndarray
    ) -> None:
        """bytes_of_token: UTF-8 bytes that each id represents, [V] int.

        `batch_size` is rounded up to a multiple of the mesh's data-parallel devices.
        """
        self._mesh = mesh
        self._batch_size = rows_per_batch(batch_size, mesh)
        self._bytes_of_token = bytes_of_token
        self._masks_documents = config.training.mask_documents
        self._eval_step = make_eval_step(config, mesh)

    def __call__(
        self, params: Params, rows: ScoredRows, num_documents: int, progress: Progress
    ) -> DocumentSums:
        """Returns the sums of documents 0 … `num_documents` - 1, in one pass over the rows."""
        sums = DocumentSums(
            np.zeros(num_documents), *(np.zeros(num_documents, np.int64) for _ in range(2))
        )
        for start in range(0, len(rows), self._batch_size):
            numbers = range(start, min(start + self._batch_size, len(rows)))
            found: list[ScoredRow] = []
            gather("held-out rows", partial(_read, found, rows, numbers))
            local = batch_from_rows([row for row, _ in found], mask_documents=self._masks_documents)
            missing = ((0, self._batch_size - len(found)), (0, 0))  # rows of weight and segment 0
            batch = Batch(*(place_rows(np.pad(x, missing), self._mesh) for x in local))
            nats = np.asarray(self._eval_step(params, batch), np.float64)
            self._add(sums, nats, local, [spans for _, spans in found])
            progress(numbers.stop, len(rows), "rows")
            interrupt.check()
        return sums

    def _add(
        self,
        sums: DocumentSums,
        nats: np.ndarray,
        batch: Batch[np.ndarray],
        spans: Sequence[np.ndarray],
    ) -> None:
        num_bytes = self._bytes_of_token[batch.targets]
        for row, of_row in enumerate(spans):
            for document, start, stop in of_row.tolist():
                sums.nats[document] += nats[row, start:stop].sum()
                sums.num_targets[document] += int(batch.loss_weights[row, start:stop].sum())
                sums.num_bytes[document] += int(num_bytes[row, start:stop].sum())


def _read(found: list[ScoredRow], rows: ScoredRows, numbers: range) -> None:
    found += [rows[number] for number in numbers]
