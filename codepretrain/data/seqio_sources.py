"""Prepared documents and packed rows as `seqio.DataSource`s.

Both number their examples [0, n) within a split, and shard i of k holds the range
[⌊i·n/k⌋, ⌊(i+1)·n/k⌋). So any number of hosts read disjoint parts of a split that together are the
whole, whatever the number of files is.
"""

import abc
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from itertools import islice
from typing import Any

import numpy as np
import seqio
import tensorflow as tf

from codepretrain.data.reading.documents import SourceDocuments, open_documents
from codepretrain.data.selection.selected import load_split
from codepretrain.errors import UserError
from codepretrain.files.storage import StrPath
from codepretrain.rows.format import SPLITS
from codepretrain.rows.manifest import rows_directory
from codepretrain.rows.shard_files import host_cache
from codepretrain.rows.store import RowStore
from codepretrain.stream.batch import batch_from_rows
from codepretrain.stream.permutation import permute

_EXAMPLES_PER_SHARD = 65_536  # of the shards that are listed, such as for seqio's offline caching
_DOCUMENTS_PER_BLOCK = 1024  # consecutive documents that stay together in a shuffled order
_DOCUMENTS_PER_BATCH = 64
_ROWS_PER_BATCH = 64


class _NumberedSource(seqio.DataSource):
    """Examples with random access by number."""

    def __init__(
        self, name: str, num_examples: Mapping[str, int], *, performs_internal_shuffling: bool
    ) -> None:
        super().__init__(
            splits=SPLITS,
            num_input_examples=num_examples,
            performs_internal_shuffling=performs_internal_shuffling,
        )
        self._name = name

    @property
    def supports_arbitrary_sharding(self) -> bool:
        return True

    def list_shards(self, split: str) -> list[str]:
        """Returns a name per 65,536 examples, for tools that work shard by shard."""
        num_shards = max(1, -(-self.num_input_examples(split) // _EXAMPLES_PER_SHARD))
        return [f"{self._name}-{split}-{i:05d}-of-{num_shards:05d}" for i in range(num_shards)]

    def num_input_examples(self, split: str) -> int:
        """Returns the number of examples of a split.

        Raises:
          UserError: there is no such split.
        """
        if split not in self.splits:
            raise UserError(f"{self._name} has the splits {', '.join(self.splits)}, not {split!r}")
        return super().num_input_examples(split)

    def numbers(self, split: str, shard_info: seqio.ShardInfo | None) -> tuple[int, int]:
        """Returns the first example of a shard and the one after its last.

        Raises:
          UserError: there are more shards than examples, so that some would be empty.
        """
        num_examples = self.num_input_examples(split)
        if shard_info is None:
            return 0, num_examples
        index, num_shards = shard_info.index, shard_info.num_shards
        if num_shards > max(1, num_examples):
            raise UserError(
                f"{self._name} ({split}) has {num_examples:,} examples, which cannot be divided "
                f"into {num_shards:,} shards: let {max(1, num_examples):,} hosts or fewer read it"
            )
        return index * num_examples // num_shards, (index + 1) * num_examples // num_shards

    def get_dataset(
        self,
        split: str = "train",
        shuffle: bool = True,
        seed: int | None = None,
        shard_info: seqio.ShardInfo | None = None,
        **_: Any,
    ) -> tf.data.Dataset:
        """Returns the examples of a shard; other arguments that seqio passes are ignored.

        Raises:
          UserError: as `numbers`.
        """
        first, last = self.numbers(split, shard_info)
        return self._dataset(split, first, last, shuffle=shuffle, seed=seed)

    @abc.abstractmethod
    def _dataset(
        self, split: str, first: int, last: int, *, shuffle: bool, seed: int | None
    ) -> tf.data.Dataset:
        """Returns examples [first, last) of a split, in order or shuffled."""


class DocumentSource(_NumberedSource):
    """The documents of a source: {text: string, document: int64, its number in the split}.

    Shuffling reads blocks of consecutive documents in another order in each epoch; the Task's
    shuffle buffer mixes the blocks.
    """

    def __init__(
        self,
        data_dir: StrPath,
        source: str,
        *,
        num_documents: Mapping[str, int],
        cache_bytes: int | None,
    ) -> None:
        super().__init__(source, num_documents, performs_internal_shuffling=False)
        self._data_dir, self._cache_bytes = data_dir, cache_bytes
        self._positions: dict[str, np.ndarray] = {}

    def _dataset(
        self, split: str, first: int, last: int, *, shuffle: bool, seed: int | None
    ) -> tf.data.Dataset:
        size = _DOCUMENTS_PER_BLOCK if shuffle else max(1, last - first)
        starts = np.arange(first, last, size)
        blocks = tf.data.Dataset.from_tensor_slices((starts, np.minimum(starts + size, last)))
        if shuffle:
            blocks = blocks.shuffle(max(1, len(starts)), seed=seed)
        signature = {
            "text": tf.TensorSpec([None], tf.string),
            "document": tf.TensorSpec([None], tf.int64),
        }

        def batches(start: tf.Tensor, stop: tf.Tensor) -> tf.data.Dataset:
            read = partial(self._batches, split)
            return tf.data.Dataset.from_generator(
                read, args=(start, stop), output_signature=signature
            )

        return blocks.flat_map(batches).unbatch()

    @cached_property
    def _documents(self) -> SourceDocuments:
        return open_documents(self._data_dir, self._name, cache_bytes=self._cache_bytes)

    def _batches(self, split: str, start: int, stop: int) -> Iterator[dict[str, np.ndarray]]:
        """Yields documents [start, stop) of a split in batches."""
        wanted = np.zeros(self._documents.manifest.num_documents, bool)
        wanted[self._split(split)[start:stop]] = True
        read = self._documents.read(wanted)
        while batch := [document.text.encode() for document in islice(read, _DOCUMENTS_PER_BATCH)]:
            numbers = np.arange(start, start + len(batch), dtype=np.int64)
            yield {"text": np.array(batch, object), "document": numbers}
            start += len(batch)

    def _split(self, split: str) -> np.ndarray:
        """Returns the positions in the source of a split's documents: [n] int64."""
        if split not in self._positions:
            members = load_split(
                self._data_dir, source=self._name, split=split, cache_bytes=self._cache_bytes
            )
            self._positions[split] = np.flatnonzero(members)
        return self._positions[split]


class RowSource(_NumberedSource):
    """The packed rows of a source, with the features of a decoder's packed example.

    decoder_input_tokens, decoder_target_tokens, decoder_loss_weights, decoder_positions,
    decoder_segment_ids: [max_seq_len] int32, the arrays of `stream/batch.py`.
    row: int64, its number in the split.

    Shuffling draws the rows of a shard in the order of a keyed permutation, another in each epoch.
    """

    def __init__(
        self,
        data_dir: StrPath,
        source: str,
        *,
        num_rows: Mapping[str, int],
        max_seq_len: int,
        mask_documents: bool,
        cache_bytes: int | None,
    ) -> None:
        super().__init__(source, num_rows, performs_internal_shuffling=True)
        self._data_dir, self._cache_bytes = data_dir, cache_bytes
        self._max_seq_len, self._mask_documents = max_seq_len, mask_documents
        self._stores: dict[str, RowStore] = {}

    def _dataset(
        self, split: str, first: int, last: int, *, shuffle: bool, seed: int | None
    ) -> tf.data.Dataset:
        starts = tf.data.Dataset.range(first, last, _ROWS_PER_BATCH)
        if not shuffle:
            return starts.map(
                lambda start: self._read(split, partial(_in_order, last), start)
            ).unbatch()
        numbers = partial(_permuted, first, last)
        return (
            _keys(seed)
            .flat_map(lambda key: starts.map(lambda start: self._read(split, numbers, start, key)))
            .unbatch()
        )

    def _read(
        self, split: str, numbers: Callable[..., np.ndarray], *arguments: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Returns the rows whose numbers are `numbers(*arguments)`."""

        def read(*values: Any) -> tuple[np.ndarray, ...]:
            chosen = numbers(*values)
            store = self._store(split)
            rows = [store[number] for number in chosen.tolist()]
            batch = batch_from_rows(rows, mask_documents=self._mask_documents)
            return (
                *(getattr(batch, field).astype(np.int32) for field in FEATURES.values()),
                chosen,
            )

        dtypes = [tf.int32] * len(FEATURES) + [tf.int64]
        *arrays, chosen = tf.numpy_function(read, arguments, dtypes)
        shape = [None, self._max_seq_len]
        features = {
            name: tf.ensure_shape(array, shape)
            for name, array in zip(FEATURES, arrays, strict=True)
        }
        return {**features, "row": tf.ensure_shape(chosen, [None])}

    def _store(self, split: str) -> RowStore:
        if split not in self._stores:
            self._stores[split] = RowStore(
                rows_directory(self._data_dir, self._name, split),
                source=self._name,
                split=split,
                cache=host_cache(self._cache_bytes),
            )
        return self._stores[split]


# The name that seqio and T5X give to each array of a Batch.
FEATURES = {
    "decoder_input_tokens": "inputs",
    "decoder_target_tokens": "targets",
    "decoder_loss_weights": "loss_weights",
    "decoder_positions": "positions",
    "decoder_segment_ids": "segment_ids",
}


def _keys(seed: int | None) -> tf.data.Dataset:
    """Returns one key, [8] int64 below 256; another at each iteration, in a sequence set by `seed`.

    `tf.data.Dataset.random(rerandomize_each_iteration=True)` does not repeat its sequence.
    """
    return tf.data.Dataset.range(256).shuffle(256, seed=seed).batch(8).take(1)


def _in_order(last: int, start: int) -> np.ndarray:
    return np.arange(start, min(start + _ROWS_PER_BATCH, last), dtype=np.int64)


def _permuted(first: int, last: int, start: int, key: np.ndarray) -> np.ndarray:
    """Returns the rows at the positions from `start` on of a permutation of [first, last)."""
    index = _in_order(last, start) - first
    return first + permute(index, num_rows=last - first, key=key.astype(np.uint8).tobytes())
