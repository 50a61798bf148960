"""A study of the size of a pod's, with data that looks prepared: for `run_growth.py`.

Three phases, one after the other, each of 95,367 steps of 256 rows of 8,192 tokens (200B tokens),
from six sources with 24.4M rows in 1,000 parts. The model is tiny.

Written with the product's own writers, so every index, manifest and hash has its real size. One
part of rows is written, and the files of all others are hard links to it: 0.6 GB of rows stand for
600 GB. So all rows that are read are in the page cache.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from loader import random_row

from codepretrain.config.schema import (
    CheckpointConfig,
    DataConfig,
    EvaluatorConfig,
    ModelConfig,
    PhaseConfig,
    ScheduleConfig,
    SourceConfig,
    StudyConfig,
    TrainingConfig,
)
from codepretrain.data.packing.join_parts import MadeFrom, join_parts
from codepretrain.files.directory import whole_directory
from codepretrain.files.hashing import sha256_json
from codepretrain.files.sealed import write_sealed
from codepretrain.rows import eval_items, held_out
from codepretrain.rows.data_dir import data_dir, settings_hash, study_settings_hash
from codepretrain.rows.folders import RowsFolder, rows_pool, save_folders
from codepretrain.rows.format import FORMAT_VERSION, SPLITS, encode_row
from codepretrain.rows.manifest import DOCUMENTS, ROWS, STATS, RowsManifest
from codepretrain.rows.part import PART, PartManifest, load_part, part_name
from codepretrain.rows.records import RecordWriter
from codepretrain.rows.verify import MANIFEST
from codepretrain.rows.vocabulary import (
    TOKENIZER,
    VOCABULARY,
    Vocabulary,
    tokenizer_directory,
    tokenizer_hashes,
)

BATCH_SIZE = 256
MAX_SEQ_LEN = 8192
NUM_STEPS = 95_367
NUM_PARTS = 1000
VOCAB_SIZE = 70_000  # three bytes a token, as with 256,000
ROWS_OF_PART = -(-NUM_STEPS * BATCH_SIZE // NUM_PARTS)
DOCUMENTS_PER_ROW = 4
# weight in the mixture, parts
SOURCES = {
    "markup": (0.15, 213),
    "notebooks": (0.04, 10),
    "stackexchange": (0.06, 15),
    "synthetic_code": (0.05, 4),
    "text": (0.50, 594),
    "web_code": (0.20, 164),
}
PHASES = ("trunk", "continued", "annealed")


def config() -> StudyConfig:
    source = SourceConfig(reader="jsonl", kind="text", options={"path": "-"}, max_epochs=1000.0)
    schedule = ScheduleConfig(
        shape="cosine", warmup_steps=1000, peak_learning_rate=1e-3, end_learning_rate=1e-4
    )
    parents = (None, *PHASES[:-1])
    return StudyConfig(
        name="large",
        model=ModelConfig(
            vocab_size=VOCAB_SIZE,
            d_model=8,
            num_layers=1,
            num_heads=1,
            num_kv_heads=1,
            head_dim=8,
            d_ff=16,
        ),
        data=DataConfig(max_seq_len=MAX_SEQ_LEN, sources=dict.fromkeys(SOURCES, source)),
        training=TrainingConfig(batch_size=BATCH_SIZE),
        checkpoint=CheckpointConfig(permanent_interval_steps=1000),
        evals={"validation": EvaluatorConfig(kind="validation_loss", interval_steps=1000)},
        phases={
            name: PhaseConfig(
                parent=parent,
                tokens=NUM_STEPS * BATCH_SIZE * MAX_SEQ_LEN,
                mixture={source: weight for source, (weight, _) in SOURCES.items()},
                schedule=schedule,
            )
            for name, parent in zip(PHASES, parents, strict=True)
        },
        variants={"short": "continued", "long": "annealed"},
        baseline="short",
    )


def write_data(workdir: Path) -> None:
    """Makes the data of the study look prepared."""
    study = config()
    directory = data_dir(workdir, study)
    write_tokenizer(directory)
    manifests: dict[tuple[str, str], RowsManifest] = {}
    for split in SPLITS:
        rows_of_part = ROWS_OF_PART if split == "train" else 64
        template = workdir / "template" / split
        write_part(template, num_rows=rows_of_part)
        for source, (_, num_parts) in SOURCES.items():
            manifests[source, split] = write_rows(
                Path(rows_pool(directory)) / f"{source}-{split}",
                template,
                num_parts=num_parts if split == "train" else 1,
                made_from=made_from(directory, source, split),
            )
    folders = {
        (source, split): RowsFolder(
            folder=f"{source}-{split}",
            identity=manifest.identity,
            settings_hash=settings_hash(study, source),
        )
        for (source, split), manifest in manifests.items()
    }
    save_folders(directory, folders)
    rows = {source: manifests[source, "validation"] for source in SOURCES}
    write_items(directory, rows, study)
    write_held_out(directory, rows, study)


def write_tokenizer(directory: os.PathLike[str]) -> None:
    texts = [b"", b"", *(f"{number:x}".encode() for number in range(2, VOCAB_SIZE))]
    with whole_directory(tokenizer_directory(directory)) as folder:
        (folder / TOKENIZER).write_text("{}")
        Vocabulary(texts, bos=0, eos=1, pad=0).save(folder / VOCABULARY)


def made_from(directory: os.PathLike[str], source: str, split: str) -> MadeFrom:
    tokenizer_hash, vocabulary_hash = tokenizer_hashes(directory)
    return MadeFrom(
        source=source,
        split=split,
        identity=sha256_json({"source": source, "split": split}),
        documents_hash=sha256_json({"documents of": source}),
        tokenizer_hash=tokenizer_hash,
        vocabulary_hash=vocabulary_hash,
    )


def write_part(directory: Path, *, num_rows: int) -> None:
    """Writes a part of rows of random tokens, and four documents a row."""
    rng = np.random.default_rng(0)
    encoded = [encode_row(random_row(rng, MAX_SEQ_LEN, VOCAB_SIZE), VOCAB_SIZE) for _ in range(256)]
    document = b'{"id": "0123456789abcdef", "origin": "a/repository/of/code", "license": "mit"}'
    num_documents = num_rows * DOCUMENTS_PER_ROW
    with (
        whole_directory(directory) as folder,
        RecordWriter(folder, ROWS) as rows,
        RecordWriter(folder, DOCUMENTS) as documents,
    ):
        for number in range(num_rows):
            rows.write(encoded[number % len(encoded)])
        for _ in range(num_documents):
            documents.write(document)
        rows.finish()
        documents.finish()
        stats = [DOCUMENTS_PER_ROW, 4 * MAX_SEQ_LEN, MAX_SEQ_LEN]
        np.save(folder / STATS, np.tile(np.array(stats, np.uint32), (num_rows, 1)))
        manifest = PartManifest(
            format_version=FORMAT_VERSION,
            identity="",
            number=0,
            num_documents=num_documents,
            num_bytes=num_rows * 4 * MAX_SEQ_LEN,
            num_tokens=num_rows * MAX_SEQ_LEN + num_documents,
            num_rows=num_rows,
            num_split_documents=0,
            rows_sha256=rows.sha256.hexdigest(),
        )
        write_sealed(folder / PART, manifest.to_json())


def write_rows(
    directory: Path, template: Path, *, num_parts: int, made_from: MadeFrom
) -> RowsManifest:
    """Links the parts to the template, and joins them as `prepare` does."""
    part = load_part(template)
    parts = []
    for number in range(num_parts):
        shutil.copytree(template, directory / part_name(number), copy_function=os.link)
        parts.append(PartManifest(**{**vars(part), "number": number}))
    return join_parts(
        directory,
        parts,
        made_from=made_from,
        packing="best_fit",
        max_seq_len=MAX_SEQ_LEN,
        vocab_size=VOCAB_SIZE,
    )


def write_items(
    directory: os.PathLike[str], rows: Mapping[str, RowsManifest], study: StudyConfig
) -> None:
    """Writes that there are no items of local tasks."""
    first = next(iter(rows.values()))
    manifest = eval_items.ItemsManifest(
        format_version=eval_items.FORMAT_VERSION,
        settings_hash=study_settings_hash(study),
        tokenizer_hash=first.tokenizer_hash,
        vocabulary_hash=first.vocabulary_hash,
        documents_hashes={source: one.documents_hash for source, one in rows.items()},
        num_items={},
    )
    with whole_directory(eval_items.items_directory(directory)) as folder:
        write_sealed(folder / MANIFEST, manifest.to_json())


def write_held_out(
    directory: os.PathLike[str], rows: Mapping[str, RowsManifest], study: StudyConfig
) -> None:
    listed = {
        source: held_out.HeldOutDocuments(
            np.zeros(manifest.num_documents, held_out.DOCUMENT_TYPE),
            np.zeros(0, held_out.SEGMENT_TYPE),
        )
        for source, manifest in rows.items()
    }
    held_out.write_held_out(directory, listed, rows, settings_hash=study_settings_hash(study))
