"""Each source as a `seqio.Task`, documents → tokens, and each phase's mixture as a `seqio.Mixture`.

    documents on disk ─ source ─▶ {text, document} ─ tokenize ─▶ {targets [n] int32, document}

`document` is the document's number in its split, from which its provenance is found again.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import seqio
import tensorflow as tf

from codepretrain.config.schema import StudyConfig
from codepretrain.data.documents import (
    documents_directory,
    load_documents_manifest,
    read_documents,
)
from codepretrain.data.seqio_vocabulary import ByteLevelBPE
from codepretrain.rows.format import SPLITS, RowsManifest, rows_directory
from codepretrain.rows.vocabulary import tokenizer_path

_DOCUMENTS_PER_BATCH = 64


def leave_accelerators_alone() -> None:
    """Keeps TensorFlow from taking all of an accelerator's memory, which is for training."""
    if tf.config.get_visible_devices("GPU"):
        tf.config.set_visible_devices([], "GPU")


def register_tasks(config: StudyConfig, data_dir: Path) -> dict[str, str]:
    """Registers a Task per source; returns its name, `codepretrain.<study>.<source>`, by source."""
    leave_accelerators_alone()
    vocabulary = ByteLevelBPE(tokenizer_path(data_dir), config.data.tokenizer)
    names = {}
    for source in config.data.sources:
        name = f"codepretrain.{config.name}.{source}"
        directory = documents_directory(data_dir, source)
        task = seqio.Task(
            name,
            source=seqio.FunctionDataSource(
                dataset_fn=partial(_documents, directory),
                splits=SPLITS,
                num_input_examples=load_documents_manifest(directory).num_documents,
            ),
            preprocessors=[partial(tokenize, vocabulary=vocabulary)],
            output_features={"targets": seqio.Feature(vocabulary, add_eos=True, dtype=tf.int32)},
            shuffle_buffer_size=None,
        )
        _replace(seqio.TaskRegistry, name, task)
        names[source] = name
    return names


def register_mixtures(config: StudyConfig, data_dir: Path) -> dict[str, str]:
    """Registers a Mixture per phase; returns its name, `codepretrain.<study>.<phase>`, by phase.

    The config's weights are in tokens, seqio's rates in examples: a source's rate is its weight
    divided by its mean tokens per document. The Tasks must be registered, the rows prepared.
    """
    names = {}
    for phase, settings in config.phases.items():
        name = f"codepretrain.{config.name}.mixture.{phase}"
        rates: list[tuple[str, Callable[[seqio.Task], float]]] = [
            (
                f"codepretrain.{config.name}.{source}",
                partial(_rate, weight, rows_directory(data_dir, source, "train")),
            )
            for source, weight in settings.mixture.items()
            if weight > 0
        ]
        _replace(seqio.MixtureRegistry, name, seqio.Mixture(name, rates))
        names[phase] = name
    return names


def tokenized_documents(task: str, split: str) -> Iterator[np.ndarray]:
    """The token ids [n] int32 of each of the Task's documents, in the order of the documents."""
    dataset = seqio.get_mixture_or_task(task).get_dataset(
        sequence_length=None, split=split, shuffle=False, try_in_mem_cache=False
    )
    for expected, example in enumerate(dataset.as_numpy_iterator()):
        assert example["document"] == expected, "the Task changed the order of its documents"
        yield example["targets"]


def tokenize(dataset: tf.data.Dataset, *, vocabulary: ByteLevelBPE) -> tf.data.Dataset:
    """{text, document} → {targets: [n] int32 with bos and eos, document}.

    Batched, since one call into the tokenizer for many documents uses all cores.
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
    directory: Path, split: str, shuffle_files: bool, seed: int | None = None
) -> tf.data.Dataset:
    """{text: string, document: int64} of one split, always in reading order."""
    del seed
    assert not shuffle_files, "rows are shuffled where they are read for training, not here"

    def blocks() -> Iterator[dict[str, np.ndarray]]:
        numbered = enumerate(read_documents(directory, split))
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


def _rate(weight: float, directory: Path, task: seqio.Task) -> float:
    manifest = RowsManifest.load(directory)
    return weight * manifest.num_documents / manifest.num_tokens


def _replace(registry: Any, name: str, provider: object) -> None:
    """Registers under `name`, in the place of what a former call with other data left there."""
    registry.remove(name)
    registry.add_provider(name, provider)
