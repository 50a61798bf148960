"""Lists the held-out documents of a study and their segments (`rows/held_out.py`)."""

from array import array

import numpy as np

from codepretrain.config.schema import StudyConfig
from codepretrain.data.reading.documents import open_documents
from codepretrain.data.selection.selected import load_components, load_split
from codepretrain.files.storage import StrPath
from codepretrain.rows.data_dir import study_settings_hash
from codepretrain.rows.held_out import (
    DOCUMENT_TYPE,
    SEGMENT_TYPE,
    HeldOutDocuments,
    write_held_out,
)
from codepretrain.rows.shard_files import host_cache
from codepretrain.rows.store import RowStore, open_sources


def list_held_out(config: StudyConfig, data_dir: StrPath) -> None:
    """Writes `<data_dir>/held_out/`. Reads all held-out rows once.

    Raises:
      UserError: documents, selection or rows are missing or damaged.
    """
    cache_bytes = config.execution.row_cache_bytes
    cache = host_cache(cache_bytes)
    stores = open_sources(data_dir, config.data.sources, "validation", cache=cache)
    found = {}
    for source, store in stores.items():
        members = load_split(data_dir, source=source, split="validation", cache_bytes=cache_bytes)
        keys = open_documents(data_dir, source, cache_bytes=cache_bytes).keys()["text"][members]
        clusters = load_components(data_dir, source, cache_bytes=cache_bytes)
        found[source] = documents_of(store, keys=keys, clusters=clusters)
        store.close()
    write_held_out(
        data_dir,
        found,
        {source: store.manifest for source, store in stores.items()},
        settings_hash=study_settings_hash(config),
    )


def documents_of(store: RowStore, *, keys: np.ndarray, clusters: np.ndarray) -> HeldOutDocuments:
    """Returns the documents of all rows of a store, and their segments that have targets.

    Args:
      keys, clusters: of each document, see `DOCUMENT_TYPE`: [N] uint64.
    """
    columns = {name: array("Q") for name in ("document", "row", "index", "offset", "length")}
    num_bytes = np.zeros(len(keys), np.uint64)
    for number in range(len(store)):
        row = store[number]
        indices = np.flatnonzero(row.segment_lengths > 1)
        for name, values in (
            ("document", row.documents[indices]),
            ("row", np.full(len(indices), number)),
            ("index", indices),
            ("offset", row.document_offsets[indices]),
            ("length", row.segment_lengths[indices]),
        ):
            columns[name].extend(values.tolist())
        np.add.at(num_bytes, row.documents, row.segment_bytes.astype(np.uint64))
    owners, offsets = (np.array(columns[name], np.uint64) for name in ("document", "offset"))
    order = np.lexsort((offsets, owners))
    segments = np.empty(len(order), SEGMENT_TYPE)
    for name in SEGMENT_TYPE.names or ():
        segments[name] = np.array(columns[name], np.uint64)[order]
    owners = owners[order].astype(np.int64)
    num_targets = np.zeros(len(keys), np.uint64)
    np.add.at(num_targets, owners, segments["length"].astype(np.uint64) - np.uint64(1))
    documents = np.empty(len(keys), DOCUMENT_TYPE)
    documents["key"], documents["cluster"] = keys, clusters
    documents["num_targets"], documents["num_bytes"] = num_targets, num_bytes
    documents["first_segment"] = np.searchsorted(owners, np.arange(len(keys)))
    _check_counts(store, documents)
    return HeldOutDocuments(documents, segments)


def _check_counts(store: RowStore, documents: np.ndarray) -> None:
    manifest = store.manifest
    for found, expected in (
        (len(documents), manifest.num_documents),
        (int(documents["num_targets"].sum(dtype=np.int64)), manifest.num_target_tokens),
        (int(documents["num_bytes"].sum(dtype=np.int64)), manifest.num_bytes),
    ):
        assert found == expected, f"{store.directory}: {found:,} listed, {expected:,} in manifest"
