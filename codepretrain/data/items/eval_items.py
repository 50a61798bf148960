"""Items of the local tasks, made from held-out documents only.

They are the same for every study with the same data, whatever its seed. They are written in random
order, so the first n of them are a sample. A task may have several items from one document, which
every item names as `<source>/<id>`: their scores are correlated.
"""

import json
import random
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from codepretrain.config.schema import StudyConfig
from codepretrain.data.items.continuation_items import continuation_items
from codepretrain.data.items.controlled_items import controlled_items
from codepretrain.data.items.expression_items import expression_items
from codepretrain.data.items.held_out import held_out_documents
from codepretrain.data.selection.selected import load_selection_manifest
from codepretrain.data.tokenization.encoder import DocumentEncoder
from codepretrain.data.tokenization.tokenizer import load_tokenizer
from codepretrain.files.atomic import write_text
from codepretrain.files.directory import whole_directory
from codepretrain.files.sealed import write_sealed
from codepretrain.files.storage import StrPath
from codepretrain.rows.data_dir import study_settings_hash
from codepretrain.rows.eval_items import (
    FORMAT_VERSION,
    ItemsManifest,
    items_directory,
    items_name,
)
from codepretrain.rows.verify import MANIFEST
from codepretrain.rows.vocabulary import load_vocabulary, tokenizer_hashes, tokenizer_path

MAX_ITEMS = 512

# Task → the kind of source that its documents come from, and what makes its items.
TASKS: Mapping[str, tuple[str, Callable[..., list[dict[str, Any]]]]] = MappingProxyType(
    {
        "prose_continuation": ("text", continuation_items),
        "code_continuation": ("code", continuation_items),
        "python_expression": ("code", expression_items),
        "controlled_story": ("controlled_text", partial(controlled_items, kind="story")),
        "controlled_fact": ("controlled_text", partial(controlled_items, kind="fact")),
        "controlled_code": ("controlled_code", partial(controlled_items, kind="code")),
    }
)


def write_eval_items(config: StudyConfig, data_dir: StrPath) -> None:
    """Writes `<data_dir>/evals/`: the items of every task, and their manifest."""
    items: dict[str, list[dict[str, Any]]] = {task: [] for task in TASKS}
    tokenizer = load_tokenizer(tokenizer_path(data_dir), config.data.tokenizer)
    encoder = DocumentEncoder(tokenizer, config.data.tokenizer)
    vocabulary = load_vocabulary(data_dir)
    selection = load_selection_manifest(data_dir)
    for source, chosen in sorted(config.data.sources.items()):
        documents = held_out_documents(data_dir, source, encoder, vocabulary, config=config)
        for task, (kind, make) in TASKS.items():
            if chosen.kind == kind:
                rng = random.Random(f"{task}/{source}")
                for item in make(documents, max_seq_len=config.data.max_seq_len, rng=rng):
                    # Ids of documents are unique within a source only.
                    items[task].append({**item, "document": f"{source}/{item['document']}"})
    sampled = {
        task: random.Random(task).sample(found, min(len(found), MAX_ITEMS))
        for task, found in items.items()
    }
    tokenizer_hash, vocabulary_hash = tokenizer_hashes(data_dir)
    manifest = ItemsManifest(
        format_version=FORMAT_VERSION,
        settings_hash=study_settings_hash(config),
        tokenizer_hash=tokenizer_hash,
        vocabulary_hash=vocabulary_hash,
        documents_hashes={
            source: found["validation"] for source, found in selection.split_hashes.items()
        },
        num_items={task: len(chosen) for task, chosen in sampled.items()},
    )
    write_items(items_directory(data_dir), sampled, manifest)


def write_items(
    directory: StrPath, items: dict[str, list[dict[str, Any]]], manifest: ItemsManifest
) -> None:
    """Writes a directory of items by task; each gets the id `<task>/<number>`."""
    with whole_directory(directory) as folder:
        for task, chosen in items.items():
            lines = [
                json.dumps({"id": f"{task}/{number:05d}", **item}) + "\n"
                for number, item in enumerate(chosen)
            ]
            write_text(folder / items_name(task), "".join(lines))
        write_sealed(folder / MANIFEST, manifest.to_json())
