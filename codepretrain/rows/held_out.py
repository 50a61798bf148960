"""The held-out documents of a study and their segments: what the held-out loss is a sample of.

    <data_dir>/held_out/
        <source>.documents.npy   [N] of DOCUMENT_TYPE, numbered as in the source's held-out rows
        <source>.segments.npy    [S] of SEGMENT_TYPE, by document, then by offset
        manifest.json            counts, and hashes of what it was made from; sealed
        files.json               size and hash of every file, written last

Rows name the document of each segment (`rows/format.py`); this is the reverse. It belongs to the
study, not to the pool of rows: which documents are one cluster depends on all sources of the study.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from etils import epath

from codepretrain.errors import UserError
from codepretrain.files.cache import Cache
from codepretrain.files.directory import is_whole, whole_directory
from codepretrain.files.explain import explained
from codepretrain.files.sealed import write_sealed
from codepretrain.files.storage import StrPath, is_local
from codepretrain.rows.manifest import RowsManifest
from codepretrain.rows.records import open_array
from codepretrain.rows.shard_files import ShardFiles
from codepretrain.rows.verify import MANIFEST, check_contents, folder_remedy, read_manifest

FORMAT_VERSION = 1
DOCUMENT_TYPE = np.dtype(
    [
        ("key", "<u8"),  # hash of the text; samples are drawn by it
        ("cluster", "<u8"),  # component of the split: all that was held out together
        ("num_targets", "<u4"),
        ("num_bytes", "<u4"),
        ("first_segment", "<u8"),  # its segments end where those of the next document begin
    ]
)
# `index`: of the segment in its row. `offset`: the document's token at which it starts; its targets
# are the `length` - 1 tokens after that.
SEGMENT_TYPE = np.dtype([("row", "<u8"), ("index", "<u4"), ("offset", "<u4"), ("length", "<u4")])


@dataclass(frozen=True, kw_only=True)
class HeldOutManifest:
    """settings_hash: of the study's data settings. The rest by source: the hash of its held-out
    rows (`RowsManifest.hash`), and counts. num_clusters: distinct ones.
    """

    format_version: int
    settings_hash: str
    rows_hashes: Mapping[str, str]
    num_documents: Mapping[str, int]
    num_segments: Mapping[str, int]
    num_clusters: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True, eq=False)
class HeldOutDocuments:
    """One source's held-out documents [N] of DOCUMENT_TYPE and segments [S] of SEGMENT_TYPE."""

    documents: np.ndarray
    segments: np.ndarray

    def __len__(self) -> int:
        return len(self.documents)

    def segments_of(self, document: int) -> np.ndarray:
        """Returns the segments of a document, in its order."""
        first = int(self.documents["first_segment"][document])
        if document + 1 == len(self.documents):
            return self.segments[first:]
        return self.segments[first : int(self.documents["first_segment"][document + 1])]


def held_out_directory(data_dir: StrPath) -> epath.Path:
    """Returns where the list of held-out documents is below the study's data directory."""
    return epath.Path(data_dir) / "held_out"


def has_held_out(data_dir: StrPath) -> bool:
    """Returns whether the held-out documents were listed."""
    return is_whole(held_out_directory(data_dir))


def write_held_out(
    data_dir: StrPath,
    found: Mapping[str, HeldOutDocuments],
    rows: Mapping[str, RowsManifest],
    *,
    settings_hash: str,
) -> HeldOutManifest:
    """Writes `<data_dir>/held_out/`.

    Args:
      found: by source.
      rows: the manifest of each source's held-out rows.
    """
    manifest = HeldOutManifest(
        format_version=FORMAT_VERSION,
        settings_hash=settings_hash,
        rows_hashes={source: rows[source].hash for source in found},
        num_documents={source: len(one) for source, one in found.items()},
        num_segments={source: len(one.segments) for source, one in found.items()},
        num_clusters={
            source: len(np.unique(one.documents["cluster"])) for source, one in found.items()
        },
    )
    with whole_directory(held_out_directory(data_dir)) as folder:
        for source, one in found.items():
            for name, array in zip(_names(source), (one.documents, one.segments), strict=True):
                with explained("write", folder / name):
                    np.save(folder / name, array)
        write_sealed(folder / MANIFEST, manifest.to_json())
    return manifest


def load_held_out_manifest(data_dir: StrPath) -> tuple[HeldOutManifest, Mapping[str, str]]:
    """Returns the manifest, and the SHA-256 of every file by name.

    Raises:
      UserError: the documents were not listed, or a file is missing, truncated or damaged.
    """
    directory, what = held_out_directory(data_dir), "list of held-out documents"
    return read_manifest(HeldOutManifest, directory, what, version=FORMAT_VERSION)


def open_held_out(
    data_dir: StrPath, rows: Mapping[str, RowsManifest], *, cache: Cache | None = None
) -> dict[str, HeldOutDocuments]:
    """Opens the held-out documents of some sources, memory-mapped.

    Args:
      rows: the manifest of each source's held-out rows.
      cache: for an object store; by default the user's.

    Raises:
      UserError: they were not listed, a file is missing or damaged, or they are not those of the
        rows.
    """
    manifest, hashes = load_held_out_manifest(data_dir)
    directory = held_out_directory(data_dir)
    names = [name for source in rows for name in _names(source)]
    # On an object store, contents are compared when a local copy is made.
    compared = [name for name in names if is_local(directory) or name not in hashes]
    check_contents(directory, hashes, compared, remedy=folder_remedy(directory))
    files = ShardFiles(directory, {name: hashes[name] for name in names}, cache=cache)
    found = {}
    for source, held_out in rows.items():
        _check_source(manifest, held_out, data_dir)
        lengths = manifest.num_documents[source], manifest.num_segments[source]
        types = DOCUMENT_TYPE, SEGMENT_TYPE
        arrays = [
            open_array(
                files.hold(name),
                shape=(length,),
                dtype=dtype,
                shown_as=directory / name,
                remedy=folder_remedy(directory),
            )
            for name, length, dtype in zip(_names(source), lengths, types, strict=True)
        ]
        found[source] = HeldOutDocuments(*arrays)
    return found


def check_held_out(
    rows: Mapping[str, RowsManifest], data_dir: StrPath, *, settings_hash: str
) -> None:
    """Checks that the held-out documents are those of the study's held-out rows.

    Args:
      rows: the manifest of each source's held-out rows.

    Raises:
      UserError: they were not listed, are damaged, or are those of other rows or settings.
    """
    manifest, _ = load_held_out_manifest(data_dir)
    directory = held_out_directory(data_dir)
    if manifest.settings_hash != settings_hash:
        raise UserError(
            f"{directory} was prepared under other settings: delete it and prepare again"
        )
    for held_out in rows.values():
        _check_source(manifest, held_out, data_dir)


def _check_source(manifest: HeldOutManifest, rows: RowsManifest, data_dir: StrPath) -> None:
    directory, source = held_out_directory(data_dir), rows.source
    if manifest.rows_hashes.get(source) != rows.hash:
        raise UserError(
            f"{directory} does not list the documents of the held-out rows of source {source!r}: "
            "delete it and prepare again"
        )
    found, expected = manifest.num_documents[source], rows.num_documents
    assert found == expected, f"{source}: {found} documents listed, the rows have {expected}"


def _names(source: str) -> tuple[str, str]:
    return f"{source}.documents.npy", f"{source}.segments.npy"
