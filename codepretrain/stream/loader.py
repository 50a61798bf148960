"""step → this host's part of the global batch, read ahead by threads."""

import time
from collections.abc import Iterator, Mapping

import grain

from codepretrain.errors import UserError
from codepretrain.rows.store import RowStore
from codepretrain.stream.batch import Batch, batch_from_rows
from codepretrain.stream.order import RowOrder


class HostBatches:
    """This host's part of every batch from `start_step` on: a random-access source for Grain.

    Host p of P has rows [p · B/P, (p + 1) · B/P) of the global batch, so the batch itself does not
    depend on how many hosts there are.
    """

    def __init__(
        self,
        order: RowOrder,
        stores: Mapping[str, RowStore],
        *,
        process_index: int,
        process_count: int,
        mask_documents: bool,
        start_step: int,
    ) -> None:
        """Raises UserError if the batch is not divisible by the number of hosts."""
        assert 0 <= process_index < process_count, (process_index, process_count)
        assert 0 <= start_step <= order.num_steps, (start_step, order.num_steps)
        if order.batch_size % process_count:
            raise UserError(
                f"config.training.batch_size = {order.batch_size:,} is not divisible by the "
                f"{process_count} processes; choose a multiple of {process_count}"
            )
        self._order = order
        self._stores = [stores[source] for source in order.sources]
        self._start_step = start_step
        self._num_rows = order.batch_size // process_count
        self._first_row = process_index * self._num_rows
        self._masks_documents = mask_documents

    def __len__(self) -> int:
        return self._order.num_steps - self._start_step

    def __getitem__(self, index: int) -> tuple[int, Batch]:
        step = self._start_step + index
        start = step * self._order.batch_size + self._first_row
        ordered = self._order.rows(start, start + self._num_rows)
        rows = [
            self._stores[source][record]
            for source, record in zip(
                ordered.source_index.tolist(), ordered.record.tolist(), strict=True
            )
        ]
        return step, batch_from_rows(rows, mask_documents=self._masks_documents)


class BatchLoader(Iterator[tuple[int, Batch]]):
    """Yields (step, this host's part of batch `step`) to the end of the phase.

    Threads read whole batches ahead; they are yielded in order. An error in a thread is raised by
    the `next` that would have returned its batch, and closes the loader.

    wait_s: seconds that the consumer has spent in `next`, waiting for data.
    """

    def __init__(
        self,
        order: RowOrder,
        stores: Mapping[str, RowStore],
        *,
        process_index: int,
        process_count: int,
        mask_documents: bool,
        start_step: int = 0,
        prefetch: int = 8,
        threads: int = 4,
    ) -> None:
        """Starts to read ahead from `start_step` on.

        Args:
          prefetch: how many batches are held ready.
          threads: how many batches are assembled at once. If this or `prefetch` is 0, `next` reads.

        Raises:
          UserError: the batch is not divisible by the number of hosts.
        """
        batches = HostBatches(
            order,
            stores,
            process_index=process_index,
            process_count=process_count,
            mask_documents=mask_documents,
            start_step=start_step,
        )
        # Threads beyond the number of prefetched batches would be idle.
        options = grain.ReadOptions(
            num_threads=min(threads, prefetch), prefetch_buffer_size=prefetch
        )
        self._iterator = iter(grain.MapDataset.source(batches).to_iter_dataset(options))
        self.wait_s = 0.0

    def __next__(self) -> tuple[int, Batch]:
        started = time.perf_counter()
        try:
            return next(self._iterator)
        except StopIteration:
            raise
        except BaseException:  # an interrupt leaves Grain's queue one batch short
            self.close()
            raise
        finally:
            self.wait_s += time.perf_counter() - started

    def close(self) -> None:
        """Drops the prefetched batches. A busy thread finishes its batch first."""
        self._iterator.close()

    def __enter__(self) -> "BatchLoader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
