"""Items of the local tasks, made from held-out documents only.

They are the same for every study with the same data, whatever its seed. They are written in random
order, so the first n of them are a sample. A task may have several items of one document, so their
scores are not quite independent.
"""

import hashlib
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codepretrain.config.schema import StudyConfig
from codepretrain.data.atomic import atomic_directory
from codepretrain.data.continuation_items import continuation_items
from codepretrain.data.expression_items import expression_items
from codepretrain.data.held_out import held_out_documents
from codepretrain.data.tokenizer import load_tokenizer
from codepretrain.rows.vocabulary import load_vocabulary, tokenizer_path

MAX_ITEMS = 512

# Which kind of source gives a task its items.
KINDS = {"prose_continuation": "text", "code_continuation": "code", "python_expression": "code"}


def write_eval_items(config: StudyConfig, data_dir: Path) -> None:
    """Writes `<data_dir>/evals/<task>.jsonl` and their manifest: task → {num_items, sha256}."""
    tokenizer = load_tokenizer(tokenizer_path(data_dir), config.data.tokenizer)
    vocabulary = load_vocabulary(data_dir)
    items: dict[str, list[dict[str, Any]]] = {task: [] for task in KINDS}
    for source, chosen in sorted(config.data.sources.items()):
        documents = held_out_documents(
            data_dir, source, tokenizer, vocabulary, config=config.data.tokenizer
        )
        for task, kind in KINDS.items():
            if chosen.kind == kind:
                make = expression_items if task == "python_expression" else continuation_items
                rng = random.Random(f"{task}/{source}")
                items[task] += make(documents, max_seq_len=config.data.max_seq_len, rng=rng)
    _write(items, data_dir / "evals")


def _write(items: Mapping[str, list[dict[str, Any]]], directory: Path) -> None:
    manifest = {}
    with atomic_directory(directory) as partial:
        for task, found in items.items():
            chosen = random.Random(task).sample(found, min(len(found), MAX_ITEMS))
            lines = [
                json.dumps({"id": f"{task}/{number:05d}", **item}) + "\n"
                for number, item in enumerate(chosen)
            ]
            data = "".join(lines).encode()
            (partial / f"{task}.jsonl").write_bytes(data)
            manifest[task] = {
                "num_items": len(chosen),
                "sha256": hashlib.sha256(data).hexdigest(),
            }
        text = json.dumps(manifest, indent=1)
        (partial / "manifest.json").write_text(text, encoding="utf-8")
