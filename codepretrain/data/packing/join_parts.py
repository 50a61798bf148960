"""Joins the parts of a source and split: one index, one manifest, one list of files."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from etils import epath

from codepretrain.errors import UserError
from codepretrain.files.directory import joined_directory
from codepretrain.files.hashing import sha256_bytes
from codepretrain.files.new_file import NewFile
from codepretrain.files.sealed import write_sealed
from codepretrain.files.storage import StrPath, read_bytes
from codepretrain.rows.format import FORMAT_VERSION
from codepretrain.rows.manifest import DOCUMENTS, ROWS, STATS, RowsManifest
from codepretrain.rows.part import Part, PartManifest, merkle_root, part_name
from codepretrain.rows.records import INDEX_DTYPE, index_name
from codepretrain.rows.verify import MANIFEST, check_folder, folder_remedy


@dataclass(frozen=True, kw_only=True)
class MadeFrom:
    """What rows are made from; see `RowsManifest`."""

    source: str
    split: str
    identity: str
    documents_hash: str
    tokenizer_hash: str
    vocabulary_hash: str


def join_parts(
    directory: StrPath,
    parts: Sequence[PartManifest],
    *,
    made_from: MadeFrom,
    packing: str,
    max_seq_len: int,
    vocab_size: int,
) -> RowsManifest:
    """Completes `directory`, which holds all parts; then it is whole.

    Takes memory for the index of one part.

    Raises:
      UserError: a part is missing or damaged, or the disk is full.
    """
    names = [part_name(part.number) for part in parts]
    num_rows = sum(part.num_rows for part in parts)
    num_documents = sum(part.num_documents for part in parts)
    num_tokens = sum(part.num_tokens for part in parts)
    num_targets = num_tokens - num_documents
    manifest = RowsManifest(
        **vars(made_from),
        format_version=FORMAT_VERSION,
        max_seq_len=max_seq_len,
        packing=packing,
        vocab_size=vocab_size,
        num_documents=num_documents,
        num_bytes=sum(part.num_bytes for part in parts),
        num_tokens=num_tokens,
        num_target_tokens=num_targets,
        num_rows=num_rows,
        num_padding=num_rows * max_seq_len - num_targets,
        num_split_documents=sum(part.num_split_documents for part in parts),
        rows_sha256=merkle_root(part.rows_sha256 for part in parts),
        parts=tuple(
            Part(name, part.num_rows, part.num_documents, part.rows_sha256)
            for name, part in zip(names, parts, strict=True)
        ),
    )
    folders = {name: epath.Path(directory) / name for name in names}
    hashes = {
        path: check_folder(path, "part of rows", reads_contents=False) for path in folders.values()
    }
    with joined_directory(directory, names) as folder:
        arrays = {
            index_name(ROWS): ((num_rows,), INDEX_DTYPE),
            index_name(DOCUMENTS): ((num_documents,), INDEX_DTYPE),
            STATS: ((num_rows, 3), np.dtype(np.uint32)),
        }
        for name, (shape, dtype) in arrays.items():
            _join_arrays(folder / name, hashes, shape, dtype)
        write_sealed(folder / MANIFEST, manifest.to_json())
    return manifest


def _join_arrays(
    path: Path,
    parts: Mapping[epath.Path, Mapping[str, str]],
    shape: tuple[int, ...],
    dtype: np.dtype,
) -> None:
    """Writes a `.npy` file that consists of the parts' files of the same name.

    Args:
      parts: SHA-256 of every file of each part.
    """
    header = io.BytesIO()
    described = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": shape,
    }
    np.lib.format.write_array_header_1_0(header, described)
    num_entries = 0
    with NewFile(path) as file:
        file.write(header.getvalue())
        for part, hashes in parts.items():
            entries = _load_array(part, path.name, hashes)
            assert entries.dtype == dtype, f"{part / path.name} has dtype {entries.dtype}"
            file.write(entries.tobytes())
            num_entries += len(entries)
    assert num_entries == shape[0], f"{path.name}: {num_entries} entries of {shape[0]}"


def _load_array(part: epath.Path, name: str, hashes: Mapping[str, str]) -> np.ndarray:
    content = read_bytes(part / name)
    if sha256_bytes(content) != hashes.get(name):
        raise UserError(
            f"damaged {part}: {name} was altered: its sha256 differs; {folder_remedy(part)}"
        )
    return np.load(io.BytesIO(content))
