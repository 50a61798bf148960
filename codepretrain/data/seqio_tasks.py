"""A study's prepared data as seqio Tasks and Mixtures, for T5X and other users of seqio.

    from codepretrain.data import seqio_tasks
    seqio_tasks.register_file("experiments/demo.py", "gs://bucket/workdir")
    seqio.get_mixture_or_task("codepretrain.demo.mixture.text_pretrain.rows")

registers, of study D:

    codepretrain.D.<source>                    documents, tokenized
    codepretrain.D.<source>.rows               packed rows
    codepretrain.D.mixture.<phase>             documents in the proportions of a whole phase
    codepretrain.D.mixture.<phase>.stage<k>    the same of its stage k = 0, 1, … of constant weights
    codepretrain.D.mixture.<phase>….rows       each of these of rows

Documents: {targets: [n] int32, document: int64}, where targets end with eos. They do not begin with
bos, because seqio's feature converters put it before them: `LMFeatureConverter(bos_id=…)`. Rows:
see `RowSource`. `docs/seqio.md` has an example and says how this relates to training.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import seqio
import tensorflow as tf

from codepretrain.config.load import load_study
from codepretrain.config.schema import StudyConfig
from codepretrain.data.prepared import load_prepared
from codepretrain.data.selection.selected import load_selection_manifest
from codepretrain.data.seqio_mixtures import check_names, make_mixtures
from codepretrain.data.seqio_sources import FEATURES, DocumentSource, RowSource
from codepretrain.data.seqio_vocabulary import ByteLevelBPE
from codepretrain.files import storage
from codepretrain.files.storage import StrPath
from codepretrain.rows.data_dir import data_dir as find_data_dir
from codepretrain.rows.format import SPLITS
from codepretrain.rows.manifest import RowsManifest
from codepretrain.rows.vocabulary import tokenizer_path

_DOCUMENTS_PER_BATCH = 64
_TOKEN_FEATURES = ("decoder_input_tokens", "decoder_target_tokens")


def leave_accelerators_alone() -> None:
    """Keeps TensorFlow from reserving accelerator memory, which is needed for training."""
    if tf.config.get_visible_devices("GPU"):
        tf.config.set_visible_devices([], "GPU")


def register(config: StudyConfig, workdir: StrPath) -> tuple[str, ...]:
    """Registers the Tasks and Mixtures of a study whose data is prepared; returns their names.

    Replaces everything that an earlier call registered for a study of this name.

    Args:
      workdir: local or on an object store, as `--workdir`.

    Raises:
      UserError: the data is not prepared, is damaged, or was prepared under other settings.
    """
    check_names(config)
    data_dir = find_data_dir(storage.parse(workdir, name="workdir"), config)
    rows = load_prepared(config, data_dir).rows
    leave_accelerators_alone()
    vocabulary = ByteLevelBPE(tokenizer_path(data_dir), config.data.tokenizer)
    documents = _document_tasks(config, data_dir, vocabulary)
    row_tasks = _row_tasks(config, data_dir, vocabulary, rows)
    mixtures = make_mixtures(config, rows, documents=documents, row_tasks=row_tasks)
    return _replace(config.name, [*documents.values(), *row_tasks.values()], mixtures)


def register_file(
    path: str | Path, workdir: StrPath, overrides: Sequence[str] = ()
) -> tuple[str, ...]:
    """Registers the study of an experiment file: see `register`.

    Args:
      overrides: flags such as `--config.data.max_seq_len=4096`, as on the command line.

    Raises:
      UserError: the file or an override is wrong, or as `register`.
    """
    return register(load_study(path, overrides), workdir)


def tokenize(dataset: tf.data.Dataset, *, vocabulary: ByteLevelBPE) -> tf.data.Dataset:
    """Maps {text, document} to {targets: [n] int32 that end with eos, document}.

    Batched, because one call of the tokenizer for many documents uses all cores.
    """

    def encode(texts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        documents = vocabulary.encode_documents([text.decode() for text in texts])
        targets = [ids[1:] for ids in documents]
        return np.concatenate(targets), np.array([len(ids) for ids in targets], np.int64)

    def encode_batch(batch: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        ids, lengths = tf.numpy_function(encode, [batch["text"]], (tf.int32, tf.int64))
        ids, lengths = tf.ensure_shape(ids, [None]), tf.ensure_shape(lengths, [None])
        targets = tf.RaggedTensor.from_row_lengths(ids, lengths)
        return {"targets": targets, "document": batch["document"]}

    batches = dataset.batch(_DOCUMENTS_PER_BATCH)
    return batches.map(encode_batch, num_parallel_calls=2, deterministic=True).unbatch()


def _document_tasks(
    config: StudyConfig, data_dir: StrPath, vocabulary: ByteLevelBPE
) -> dict[str, seqio.Task]:
    selection = load_selection_manifest(data_dir)
    return {
        source: seqio.Task(
            f"codepretrain.{config.name}.{source}",
            source=DocumentSource(
                data_dir,
                source,
                num_documents={split: selection.num_documents[source][split] for split in SPLITS},
                cache_bytes=config.execution.row_cache_bytes,
            ),
            preprocessors=[partial(tokenize, vocabulary=vocabulary)],
            output_features={"targets": seqio.Feature(vocabulary, add_eos=True, dtype=tf.int32)},
        )
        for source in sorted(config.data.sources)
    }


def _row_tasks(
    config: StudyConfig,
    data_dir: StrPath,
    vocabulary: ByteLevelBPE,
    rows: Mapping[tuple[str, str], RowsManifest],
) -> dict[str, seqio.Task]:
    """Shuffling is the source's own; a shuffle buffer would hold rows without need."""
    tokens = seqio.Feature(vocabulary, add_eos=False, dtype=tf.int32)
    numbers = seqio.Feature(seqio.PassThroughVocabulary(0), add_eos=False, dtype=tf.int32)
    features = {name: tokens if name in _TOKEN_FEATURES else numbers for name in FEATURES}
    return {
        source: seqio.Task(
            f"codepretrain.{config.name}.{source}.rows",
            source=RowSource(
                data_dir,
                source,
                num_rows={split: rows[source, split].num_rows for split in SPLITS},
                max_seq_len=config.data.max_seq_len,
                mask_documents=config.training.mask_documents,
                cache_bytes=config.execution.row_cache_bytes,
            ),
            preprocessors=[],
            output_features=features,
            shuffle_buffer_size=None,
        )
        for source in sorted(config.data.sources)
    }


def _replace(
    study: str, tasks: Sequence[seqio.Task], mixtures: Sequence[seqio.Mixture]
) -> tuple[str, ...]:
    """Registers these, and nothing else, under the study's name.

    A Mixture holds its Tasks themselves, so one that is left over would draw former data.
    """
    for registry in (seqio.MixtureRegistry, seqio.TaskRegistry):
        for name in list(registry.names()):
            if name.startswith(f"codepretrain.{study}."):
                registry.remove(name)
    for task in tasks:
        seqio.TaskRegistry.add_provider(task.name, task)
    for mixture in mixtures:
        seqio.MixtureRegistry.add_provider(mixture.name, mixture)
    return tuple(provider.name for provider in (*tasks, *mixtures))
