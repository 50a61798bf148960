"""Each source as a `seqio.Task`, documents → tokens, and each phase's mixture as a `seqio.Mixture`.

    documents on disk ─ source ─▶ {text, document} ─ tokenize ─▶ {targets [n] int32, document}

`document` is the document's number in its split, which identifies its provenance.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import seqio
import tensorflow as tf

from codepretrain.config.schema import StudyConfig
from codepretrain.data.selection import load_selection_manifest, split_documents
from codepretrain.data.seqio_vocabulary import ByteLevelBPE
from codepretrain.files.storage import StrPath
from codepretrain.rows.format import SPLITS
from codepretrain.rows.manifest import load_manifest, rows_directory
from codepretrain.rows.vocabulary import tokenizer_path

_DOCUMENTS_PER_BATCH = 64


def leave_accelerators_alone() -> None:
    """Keeps TensorFlow from reserving accelerator memory, which is needed for training."""
    if tf.config.get_visible_devices("GPU"):
        tf.config.set_visible_devices([], "GPU")


def register_tasks(config: StudyConfig, data_dir: StrPath) -> dict[str, str]:
    """Registers a Task per source; returns source → `codepretrain.<study>.<source>`."""
    leave_accelerators_alone()
    vocabulary = ByteLevelBPE(tokenizer_path(data_dir), config.data.tokenizer)
    manifest = load_selection_manifest(data_dir)
    names = {}
    for source in config.data.sources:
        name = f"codepretrain.{config.name}.{source}"
        task = seqio.Task(
            name,
            source=seqio.FunctionDataSource(
                dataset_fn=partial(_documents, data_dir, source, config.execution.row_cache_bytes),
                splits=SPLITS,
                num_input_examples={
                    split: manifest.num_documents[source][split] for split in SPLITS
                },
            ),
            preprocessors=[partial(tokenize, vocabulary=vocabulary)],
            output_features={"targets": seqio.Feature(vocabulary, add_eos=True, dtype=tf.int32)},
            shuffle_buffer_size=None,
        )
        _replace(seqio.TaskRegistry, name, task)
        names[source] = name
    return names


def register_mixtures(config: StudyConfig, data_dir: StrPath) -> dict[str, str]:
    """Registers a Mixture per phase; returns phase → `codepretrain.<study>.mixture.<phase>`.

    The config's weights are in tokens, seqio's rates in examples: a source's rate is its weight
    divided by its mean tokens per document. The Tasks must be registered, the rows prepared.
    """
    names = {}
    for phase, settings in config.phases.items():
        name = f"codepretrain.{config.name}.mixture.{phase}"
        rates: list[tuple[str, Callable[[seqio.Task], float]]] = [
            (
                f"codepretrain.{config.name}.{source}",
                partial(_rate, weight, data_dir, source),
            )
            for source, weight in settings.mixture.items()
            if weight > 0
        ]
        _replace(seqio.MixtureRegistry, name, seqio.Mixture(name, rates))
        names[phase] = name
    return names


def tokenized_documents(task: str, split: str) -> Iterator[np.ndarray]:
    """Yields the token ids of each of the Task's documents, in reading order: [n] int32."""
    dataset = seqio.get_mixture_or_task(task).get_dataset(
        sequence_length=None, split=split, shuffle=False, try_in_mem_cache=False
    )
    for expected, example in enumerate(dataset.as_numpy_iterator()):
        assert example["document"] == expected, "the Task changed the order of its documents"
        yield example["targets"]


def tokenize(dataset: tf.data.Dataset, *, vocabulary: ByteLevelBPE) -> tf.data.Dataset:
    """Maps {text, document} to {targets: [n] int32 with bos and eos, document}.

    Batched, because one call of the tokenizer for many documents uses all cores.
    """

    def encode(texts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ids = vocabulary.encode_documents([text.decode() for text in texts])
        return np.concatenate(ids), np.array([len(document) for document in ids], np.int64)

    def encode_batch(batch: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        ids, lengths = tf.numpy_function(encode, [batch["text"]], (tf.int32, tf.int64))
        ids, lengths = tf.ensure_shape(ids, [None]), tf.ensure_shape(lengths, [None])
        targets = tf.RaggedTensor.from_row_lengths(ids, lengths)
        return {"targets": targets, "document": batch["document"]}

    batches = dataset.batch(_DOCUMENTS_PER_BATCH)
    return batches.map(encode_batch, num_parallel_calls=2, deterministic=True).unbatch()


def _documents(
    data_dir: StrPath,
    source: str,
    cache_bytes: int | None,
    split: str,
    shuffle_files: bool,
    seed: int | None = None,
) -> tf.data.Dataset:
    """Returns {text: string, document: int64} of one split, always in reading order."""
    del seed
    assert not shuffle_files, "rows are shuffled when they are read for training, not here"

    def blocks() -> Iterator[dict[str, np.ndarray]]:
        numbered = enumerate(
            split_documents(data_dir, source=source, split=split, cache_bytes=cache_bytes)
        )
        while block := list(islice(numbered, _DOCUMENTS_PER_BATCH)):
            yield {
                "text": np.array([document.text.encode() for _, document in block], object),
                "document": np.array([number for number, _ in block], np.int64),
            }

    signature = {
        "text": tf.TensorSpec([None], tf.string),
        "document": tf.TensorSpec([None], tf.int64),
    }
    return tf.data.Dataset.from_generator(blocks, output_signature=signature).unbatch()


def _rate(weight: float, data_dir: StrPath, source: str, task: seqio.Task) -> float:
    directory = rows_directory(data_dir, source, "train")
    manifest = load_manifest(directory, source=source, split="train")
    return weight * manifest.num_documents / manifest.num_tokens


def _replace(registry: Any, name: str, provider: object) -> None:
    """Registers under `name`, and replaces what an earlier call with other data registered."""
    registry.remove(name)
    registry.add_provider(name, provider)
