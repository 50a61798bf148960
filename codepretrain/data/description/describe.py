"""The description of a study's data: counts, overlap, split and the hashes that they come from."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from codepretrain.config.schema import StudyConfig
from codepretrain.data.description.fates import SourceFates, source_fates
from codepretrain.data.description.languages import Languages, source_languages
from codepretrain.data.description.leaks import split_proof
from codepretrain.data.description.lengths import length_histogram, length_quantiles
from codepretrain.data.description.overlap import Overlap, source_overlap
from codepretrain.data.prepared import PreparedData, load_prepared
from codepretrain.data.reading.documents import SourceDocuments, open_documents
from codepretrain.data.selection.document_codes import TRAIN, VALIDATION
from codepretrain.data.selection.links import load_clusters, load_joins
from codepretrain.data.selection.selected import (
    load_contamination,
    load_selection,
    selection_directory,
)
from codepretrain.files.hashing import sha256_json
from codepretrain.files.json_values import plain
from codepretrain.files.storage import StrPath
from codepretrain.rows.document_tallies import MAX_DOCUMENTS
from codepretrain.rows.format import SPLITS
from codepretrain.rows.manifest import RowsManifest, rows_directory
from codepretrain.rows.shard_files import host_cache
from codepretrain.rows.store import RowStore


def describe_data(
    config: StudyConfig, data_dir: StrPath, *, max_documents: int = MAX_DOCUMENTS
) -> dict[str, Any]:
    """Returns the description as JSON-ready values, after asserting that all counts add up.

    Keys and codes of all documents are in memory: about 100 bytes a document at the peak.

    Args:
      max_documents: of a source and split, examined for languages.

    Raises:
      UserError: something is missing or damaged, or does not match the study.
    """
    prepared = load_prepared(config, data_dir)
    cache_bytes = config.execution.row_cache_bytes
    documents = {
        source: open_documents(data_dir, source, cache_bytes=cache_bytes)
        for source in prepared.documents
    }
    keys = {source: found.keys() for source, found in documents.items()}
    codes = {s: load_selection(data_dir, s, cache_bytes=cache_bytes) for s in documents}
    searched = config.data.deduplication.near != "ignore"
    clusters = load_clusters(selection_directory(data_dir)) if searched else None
    proof = split_proof(keys, codes, clusters, load_joins(selection_directory(data_dir)))
    description = {
        "study": config.name,
        "data_dir": str(data_dir),
        "sources": {
            source: _source(
                config,
                prepared,
                found,
                num_bytes=keys[source]["num_bytes"],
                codes=codes[source],
                languages=_languages(data_dir, source, max_documents, cache_bytes),
            )
            for source, found in documents.items()
        },
        "overlap": _overlap(source_overlap(keys, codes, clusters)),
        "split": {
            **dataclasses.asdict(proof),
            "holds": proof.holds,
            "fraction": config.data.validation_fraction,
            "num_too_large": prepared.selection.num_too_large,
            "num_joins": prepared.selection.num_joins,
        },
        "deduplication": _deduplication(config, prepared),
        "decontamination": _decontamination(data_dir, prepared),
        "items": dict(prepared.num_items),
        "tokenizer": {"sha256": prepared.tokenizer_hash, "vocab_size": prepared.vocab_size},
        "selection_sha256": sha256_json(prepared.selection.to_json()),
    }
    return plain(description)


def _source(
    config: StudyConfig,
    prepared: PreparedData,
    documents: SourceDocuments,
    *,
    num_bytes: np.ndarray,
    codes: np.ndarray,
    languages: Languages,
) -> dict[str, Any]:
    source, manifest = documents.source, documents.manifest
    fates = source_fates(manifest, codes, num_bytes)
    rows = {split: prepared.rows[source, split] for split in SPLITS}
    _check_rows(source, fates, rows)
    used = num_bytes[(codes == TRAIN) | (codes == VALIDATION)]
    return {
        "kind": config.data.sources[source].kind,
        "reader": config.data.sources[source].reader,
        "split": config.data.sources[source].split,
        "num_files": manifest.num_files,
        "limit": manifest.limit,
        "was_capped": manifest.was_capped,
        "fates": {
            **dataclasses.asdict(fates),
            "fates": [dataclasses.asdict(fate) for fate in fates.fates],
        },
        "drop_report": dict(manifest.drop_report),
        "rows": {split: _rows(found) for split, found in rows.items()},
        "languages": dataclasses.asdict(languages),
        "lengths": {"log2": length_histogram(used), **length_quantiles(used)},
        "sha256": {
            "documents": documents.hash,
            "raw_files": manifest.files_sha256,
            "reading_settings": manifest.settings_hash,
            **{f"{split}_rows": found.hash for split, found in rows.items()},
        },
    }


def _rows(manifest: RowsManifest) -> dict[str, Any]:
    names = ("documents", "bytes", "tokens", "rows", "padding", "split_documents")
    return {
        **{f"num_{name}": getattr(manifest, f"num_{name}") for name in names},
        "fill": manifest.efficiency if manifest.num_rows else None,
        "bytes_per_token": manifest.num_bytes / manifest.num_tokens
        if manifest.num_tokens
        else None,
    }


def _check_rows(source: str, fates: SourceFates, rows: Mapping[str, RowsManifest]) -> None:
    for split, manifest in rows.items():
        selected, packed = fates.total(split), (manifest.num_documents, manifest.num_bytes)
        assert selected == packed, (
            f"source {source!r} ({split}): {selected} selected, {packed} in rows"
        )


def _languages(
    data_dir: StrPath, source: str, max_documents: int, cache_bytes: int | None
) -> Languages:
    stores = [
        RowStore(
            rows_directory(data_dir, source, split),
            source=source,
            split=split,
            cache=host_cache(cache_bytes),
        )
        for split in SPLITS
    ]
    try:
        return source_languages(stores, max_documents=max_documents)
    finally:
        for store in stores:
            store.close()


def _overlap(found: Overlap) -> dict[str, Any]:
    return {
        "sources": list(found.sources),
        "totals": {source: dataclasses.asdict(total) for source, total in found.totals.items()},
        "pairs": [
            {
                "sources": list(pair),
                "read": dataclasses.asdict(shared),
                "used": dataclasses.asdict(found.used[pair]),
            }
            for pair, shared in found.read.items()
        ],
    }


def _deduplication(config: StudyConfig, prepared: PreparedData) -> dict[str, Any]:
    settings = config.data.deduplication
    return {
        "exact": settings.exact,
        "near": settings.near,
        "keep_near": list(settings.keep_near),
        "min_similarity": settings.min_similarity,
        "priority": list(settings.priority),
        "num_clusters": prepared.selection.num_clusters,
        "num_near_pairs": prepared.selection.num_near_pairs,
    }


def _decontamination(data_dir: StrPath, prepared: PreparedData) -> dict[str, Any]:
    """Returns by benchmark what was sought, and what was found in each source."""
    report = load_contamination(data_dir)
    found = [] if report is None else report.to_json()["documents"]
    items: dict[str, set[str]] = {}
    for (_, benchmark), names in report.items.items() if report else ():
        items.setdefault(benchmark, set()).update(names)
    return {
        name: {
            **dataclasses.asdict(record),
            "num_items_found": len(items.get(name, ())),
            "sources": {
                entry["source"]: {
                    "num_documents": entry["documents"],
                    "num_bytes": entry["bytes"],
                    "examples": [origin for _, origin in entry["examples"]],
                }
                for entry in found
                if entry["benchmark"] == name
            },
        }
        for name, record in prepared.selection.benchmarks.items()
    }
