"""The manifest of the rows of one source and split: exact counts, and hashes of the inputs.

    <workdir>/data/rows/<source>-<split>-<12 hex of the identity>/
        part-00000/ …                            rows and documents (`rows/part.py`)
        rows.index.npy, documents.index.npy      the parts' indexes, one after the other
        row_stats.npy                            the parts' statistics, one after the other
        manifest.json                            sealed with its own hash
        files.json                               sealed: size and hash of every file, written last

These folders are shared by the studies of a working directory; `rows/folders.py` says which a study
uses. Opening reads and verifies the manifest, the rows' index and the statistics; of the other
files it compares the sizes. The documents' index is verified when a document is first asked for.
Each record's crc32, which is in a verified index, is compared when the record is read.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from etils import epath

from codepretrain.errors import DamageError, UserError
from codepretrain.files.directory import is_whole
from codepretrain.files.hashing import sha256_json
from codepretrain.files.sealed import read_sealed
from codepretrain.files.storage import StrPath, is_local
from codepretrain.rows.folders import load_folders, rows_pool
from codepretrain.rows.format import FORMAT_VERSION, SPLITS
from codepretrain.rows.part import Part, merkle_root
from codepretrain.rows.records import Shard, index_name, records_name
from codepretrain.rows.verify import (
    MANIFEST,
    check_contents,
    check_folder,
    folder_remedy,
    parse_manifest,
)

ROWS = "rows"
DOCUMENTS = "documents"
STATS = "row_stats.npy"
INDEXES = (index_name(ROWS), index_name(DOCUMENTS), STATS)
_NOT_IN_HASH = {"parts", "identity", "documents_hash", "vocabulary_hash"}


@dataclass(frozen=True, kw_only=True)
class RowsManifest:
    """Counts of one source and split, and hashes of the inputs of its rows.

    num_bytes: UTF-8 bytes of the documents' text. num_tokens: with bos and eos, each token once.
    num_target_tokens = num_tokens - num_documents. num_padding: positions, of num_rows ×
    max_seq_len, that are not targets with weight. num_split_documents: documents with targets in
    more than one row. rows_sha256: of the hashes of the parts, each of its encoded rows in order.
    documents_hash: of the source's documents and which are in the split. tokenizer_hash,
    vocabulary_hash: of the two files of the tokenizer. identity: of all inputs, documents,
    tokenizer and packing settings (`rows/data_dir.py`), known before the rows are made.
    """

    source: str
    split: str
    format_version: int
    max_seq_len: int
    packing: str
    vocab_size: int
    num_documents: int
    num_bytes: int
    num_tokens: int
    num_target_tokens: int
    num_rows: int
    num_padding: int
    num_split_documents: int
    rows_sha256: str
    documents_hash: str
    tokenizer_hash: str
    vocabulary_hash: str
    identity: str
    parts: tuple[Part, ...]

    @property
    def efficiency(self) -> float:
        """Share of the rows' positions that train the model."""
        return self.num_target_tokens / max(1, self.num_rows * self.max_seq_len)

    @property
    def row_shards(self) -> tuple[Shard, ...]:
        """The files of the rows, in order."""
        name = records_name(ROWS)
        return tuple(Shard(f"{part.name}/{name}", part.num_rows) for part in self.parts)

    @property
    def document_shards(self) -> tuple[Shard, ...]:
        """The files of the documents' provenance, in order."""
        name = records_name(DOCUMENTS)
        return tuple(Shard(f"{part.name}/{name}", part.num_documents) for part in self.parts)

    @property
    def hash(self) -> str:
        """Hex SHA-256 of what training sees: names, counts, tokenizer and every encoded row.

        It excludes how the rows are divided into parts and the settings they were made with:
        `rows_sha256` changes with whatever of them changes a row.
        """
        fields = dataclasses.asdict(self)
        return sha256_json({k: v for k, v in fields.items() if k not in _NOT_IN_HASH})

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any], *, path: StrPath, remedy: str) -> "RowsManifest":
        """Returns the manifest that `to_json` wrote.

        Raises:
          UserError: another format version, a missing or unknown field, a wrong type, or counts
            that contradict each other.
        """
        manifest = parse_manifest(cls, value, version=FORMAT_VERSION, path=path, remedy=remedy)
        for name, (found, expected) in manifest._contradictions().items():
            raise DamageError(f"{path}: {name} is {found:,}, expected {expected:,}; {remedy}")
        root = merkle_root(part.rows_sha256 for part in manifest.parts)
        if root != manifest.rows_sha256:
            raise DamageError(
                f"{path}: rows_sha256 is {manifest.rows_sha256[:12]}, expected {root[:12]} by its "
                f"parts; {remedy}"
            )
        return manifest

    def _contradictions(self) -> dict[str, tuple[int, int]]:
        """Returns field → (found, expected) where counts do not add up."""
        counts = {
            "num_target_tokens": (self.num_target_tokens, self.num_tokens - self.num_documents),
            "num_padding": (
                self.num_padding,
                self.num_rows * self.max_seq_len - self.num_target_tokens,
            ),
            "num_rows of the parts": (sum(p.num_rows for p in self.parts), self.num_rows),
            "num_documents of the parts": (
                sum(p.num_documents for p in self.parts),
                self.num_documents,
            ),
        }
        return {name: pair for name, pair in counts.items() if pair[0] != pair[1]}


def rows_directories(
    data_dir: StrPath, sources: Iterable[str], splits: Iterable[str] = SPLITS
) -> dict[tuple[str, str], epath.Path]:
    """Returns where the rows of a study's sources and splits are, after one read of `rows.json`.

    Without an entry in it, the place is a folder below `data_dir`, where `prepare` puts none.

    Raises:
      UserError: `rows.json` is damaged.
    """
    pool, folders = rows_pool(data_dir), load_folders(data_dir)
    return {
        key: pool / folders[key].folder
        if key in folders
        else epath.Path(data_dir).joinpath("rows", *key)
        for key in itertools.product(sources, splits)
    }


def rows_directory(data_dir: StrPath, source: str, split: str) -> epath.Path:
    """Returns where the rows of one source and split are: see `rows_directories`."""
    return rows_directories(data_dir, [source], [split])[source, split]


def has_rows(directory: StrPath) -> bool:
    """Returns whether rows were completely prepared in a directory."""
    return is_whole(directory)


def load_manifest(directory: StrPath, *, source: str, split: str) -> RowsManifest:
    """Returns the manifest of the rows in a directory, after comparing the sizes of its files.

    Raises:
      UserError: the rows were not prepared, a file is missing, truncated or damaged, or these are
        the rows of another source or split.
    """
    return open_rows(directory, source=source, split=split, reads=())[0]


def open_rows(
    directory: StrPath, *, source: str, split: str, reads: tuple[str, ...] = INDEXES
) -> tuple[RowsManifest, Mapping[str, str]]:
    """Returns the manifest, and the SHA-256 of every file by name.

    Args:
      reads: the files whose contents are compared with their hash, besides the manifest. Those on
        an object store are compared when `ShardFiles.hold` makes a local copy of them.

    Raises:
      UserError: as `load_manifest`, or the contents of one of `reads` were altered.
    """
    hashes = check_folder(directory, "prepared rows", reads_contents=False)
    remedy = folder_remedy(directory)
    reads = reads if is_local(directory) else ()
    check_contents(directory, hashes, (MANIFEST, *reads), remedy=remedy)
    path = epath.Path(directory) / MANIFEST
    value, _ = read_sealed(path, remedy=remedy)
    manifest = RowsManifest.from_json(value, path=path, remedy=remedy)
    if (manifest.source, manifest.split) != (source, split):
        raise UserError(
            f"{path} is the manifest of source {manifest.source!r} ({manifest.split}), expected "
            f"{source!r} ({split}); {remedy}"
        )
    return manifest, hashes
