"""What preparing gave: every count and hash, for a report. Imports no tokenizer or TensorFlow."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table

from codepretrain.config import StudyConfig
from codepretrain.data.document import DocumentsManifest
from codepretrain.data.documents import documents_directory, load_documents_manifest
from codepretrain.data.settings import current_tokenizer_hash, require_prepared
from codepretrain.row import RowsManifest
from codepretrain.vocabulary import load_vocabulary


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


def summary_table(prepared: PreparedData) -> Table:
    """Sources × counts, for the terminal."""
    table = Table(title=f"Prepared data (tokenizer {prepared.tokenizer_hash[:12]})")
    table.add_column("source")
    names = ("split", "documents", "MB", "tokens", "bytes/token", "rows", "used", "split documents")
    for name in names:
        table.add_column(name, justify="left" if name == "split" else "right")
    table.add_column("skipped")
    for (source, split), rows in prepared.rows.items():
        skipped = prepared.documents[source].skipped
        table.add_row(
            source,
            split,
            f"{rows.num_documents:,}",
            f"{rows.num_bytes / 1e6:.2f}",
            f"{rows.num_tokens:,}",
            f"{rows.num_bytes / max(1, rows.num_target_tokens):.2f}",
            f"{rows.num_rows:,}",
            f"{rows.efficiency:.1%}",
            f"{rows.num_split_documents:,}",
            ", ".join(f"{count} {reason}" for reason, count in skipped.items())
            if split == "train"
            else "",
        )
    return table
