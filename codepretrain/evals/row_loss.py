"""Loss of single rows, computed in batches on the mesh of the parameters."""

from collections.abc import Callable
from functools import partial

import numpy as np
from jax.sharding import Mesh

from codepretrain import interrupt
from codepretrain.config.schema import StudyConfig
from codepretrain.evals.placement import place_rows, rows_per_batch
from codepretrain.evals.progress import Progress
from codepretrain.hosts import gather
from codepretrain.model.transformer import Params
from codepretrain.rows.format import Row
from codepretrain.stream.batch import Batch, batch_from_rows
from codepretrain.train.step import make_eval_step


class RowLoss:
    """Sums of nats and counts of target tokens, row by row."""

    def __init__(self, config: StudyConfig, mesh: Mesh, *, batch_size: int) -> None:
        """`batch_size` is rounded up to a multiple of the mesh's data-parallel devices."""
        self._mesh = mesh
        self._batch_size = rows_per_batch(batch_size, mesh)
        self._masks_documents = config.training.mask_documents
        self._eval_step = make_eval_step(config, mesh)

    def __call__(
        self, params: Params, num_rows: int, read: Callable[[int], Row], progress: Progress
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns Σ nats and the number of target tokens of each row: [N] float64 each.

        Args:
          read: returns row i of `num_rows`. Every process reads the same rows.
        """
        sums = []
        for start in range(0, num_rows, self._batch_size):
            numbers = range(start, min(start + self._batch_size, num_rows))
            rows: list[Row] = []
            gather("held-out rows", partial(_read, rows, read, numbers))
            local = batch_from_rows(rows, mask_documents=self._masks_documents)
            missing = ((0, self._batch_size - len(rows)), (0, 0))  # rows of weight and segment 0
            batch = Batch(*(place_rows(np.pad(x, missing), self._mesh) for x in local))
            sums.append(np.array(self._eval_step(params, batch), np.float64)[:, : len(rows)])
            progress(numbers.stop, num_rows, "rows")
            interrupt.check()
        nats, tokens = np.concatenate(sums, axis=1)
        return nats, tokens


def _read(rows: list[Row], read: Callable[[int], Row], numbers: range) -> None:
    rows += [read(number) for number in numbers]
