"""What preparing gave: every count and hash, for a report. Imports no tokenizer or TensorFlow."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table

from codepretrain.config.schema import StudyConfig
from codepretrain.data.document import DocumentsManifest
from codepretrain.data.documents import documents_directory, load_documents_manifest
from codepretrain.rows.data_dir import current_tokenizer_hash, require_prepared
from codepretrain.rows.format import RowsManifest
from codepretrain.rows.vocabulary import load_vocabulary


@dataclass(frozen=True, kw_only=True)
class PreparedData:
    """The manifests of a study's data.

    eval_items: task → {"num_items", "sha256"}. seconds: wall time of each stage of this call of
    `prepare`; a stage found finished is not there.
    """

    documents: Mapping[str, DocumentsManifest]
    rows: Mapping[tuple[str, str], RowsManifest]
    eval_items: Mapping[str, Mapping[str, Any]]
    tokenizer_hash: str
    vocab_size: int
    seconds: Mapping[str, float] = field(default_factory=dict)


def load_prepared(
    config: StudyConfig, data_dir: Path, *, seconds: Mapping[str, float] | None = None
) -> PreparedData:
    """Reads the manifests of everything that was prepared.

    Raises:
        UserError: something is missing, incomplete, or does not suit the study.
    """
    rows = require_prepared(config, data_dir)
    items = (data_dir / "evals" / "manifest.json").read_text(encoding="utf-8")
    return PreparedData(
        documents={
            source: load_documents_manifest(documents_directory(data_dir, source))
            for source in sorted(config.data.sources)
        },
        rows=rows,
        eval_items=json.loads(items),
        tokenizer_hash=current_tokenizer_hash(config, data_dir),
        vocab_size=len(load_vocabulary(data_dir)),
        seconds=seconds or {},
    )


def summary(prepared: PreparedData) -> Group:
    """Sources × counts, what was skipped and why, items per task: for the terminal."""
    lines: list[str] = []
    table = Table(title=f"Prepared data (tokenizer {prepared.tokenizer_hash[:12]})")
    table.add_column("source", no_wrap=True)
    for name in ("documents", "MB", "tokens", "rows", "filled", "cut"):
        table.add_column(name, justify="right")
    for (source, split), rows in prepared.rows.items():
        table.add_row(
            f"{source} ({split})",
            f"{rows.num_documents:,}",
            f"{rows.num_bytes / 1e6:.2f}",
            f"{rows.num_tokens:,}",
            f"{rows.num_rows:,}",
            f"{rows.efficiency:.1%}",
            f"{rows.num_split_documents:,}",
        )
    for source, documents in prepared.documents.items():
        if documents.skipped:
            reasons = ", ".join(f"{count:,} {why}" for why, count in documents.skipped.items())
            lines.append(f"{source}: skipped {reasons}")
    items = ", ".join(f"{value['num_items']} {task}" for task, value in prepared.eval_items.items())
    return Group(table, *lines, f"items of held-out documents: {items}")
