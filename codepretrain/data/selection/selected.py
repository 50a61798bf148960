"""What a study uses of its documents: one code each, and the documents of a split.

<data_dir>/selection/
    <source>.npy          [num_documents] uint8: a code of `data/selection/document_codes.py`
    <source>.components.npy   [num_held_out] uint64: the component of each held-out document
    *.*.npy               what follows one split (`data/selection/links.py`)
    contamination.json    the documents that contain text of an evaluation set; sealed
    manifest.json         settings, counts, and hashes of what was selected; sealed
    files.json            size and hash of every file, written last
"""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from etils import epath

from codepretrain.data.decontaminate import DecontaminationReport
from codepretrain.data.document import Document
from codepretrain.data.reading.documents import open_documents
from codepretrain.data.selection.document_codes import CODES, with_all_codes
from codepretrain.data.selection.links import save_links
from codepretrain.errors import UserError
from codepretrain.files.directory import is_whole, whole_directory
from codepretrain.files.explain import explained
from codepretrain.files.hashing import sha256_bytes, sha256_json
from codepretrain.files.sealed import read_sealed, write_sealed
from codepretrain.files.storage import StrPath
from codepretrain.rows.format import SPLITS
from codepretrain.rows.records import open_array
from codepretrain.rows.shard_files import host_cache
from codepretrain.rows.verify import (
    MANIFEST,
    check_contents,
    folder_remedy,
    read_manifest,
)

FORMAT_VERSION = 2
CONTAMINATION = "contamination.json"


@dataclass(frozen=True, kw_only=True)
class BenchmarkRecord:
    """An evaluation set that the documents were compared with.

    sha256: of the names and contents of its files. num_too_short: texts with too few words to be
    sought.
    """

    sha256: str
    num_files: int
    num_items: int
    num_too_short: int


@dataclass(frozen=True, kw_only=True)
class SelectionManifest:
    """The settings, what was selected, and counts.

    settings: `rows.data_dir.selection_settings`. documents_hashes: of each source's documents.
    split_hashes: source → split → hash of the documents and of which of them are in the split.
    num_documents, num_bytes: source → name of a code → count. num_joins: pairs of groups that
    follow one split, because they share a text, exactly or nearly, or because a document says so.
    num_clusters: of similar texts. num_near_pairs: of similar texts that were found.
    num_components: groups, joined groups counted once. num_too_large: documents that are trained on
    because their component is too large to hold out. benchmarks: by name.
    """

    format_version: int
    settings: Mapping[str, Any]
    documents_hashes: Mapping[str, str]
    split_hashes: Mapping[str, Mapping[str, str]]
    num_documents: Mapping[str, Mapping[str, int]]
    num_bytes: Mapping[str, Mapping[str, int]]
    num_joins: int
    num_clusters: int
    num_near_pairs: int
    num_components: int
    num_too_large: int
    benchmarks: Mapping[str, BenchmarkRecord]

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def selection_directory(data_dir: StrPath) -> epath.Path:
    """Returns where the selection is below the study's data directory."""
    return epath.Path(data_dir) / "selection"


def has_selection(data_dir: StrPath) -> bool:
    """Returns whether the study's documents were selected."""
    return is_whole(selection_directory(data_dir))


def write_selection(
    data_dir: StrPath,
    codes: Mapping[str, np.ndarray],
    manifest: SelectionManifest,
    contamination: DecontaminationReport | None,
    *,
    components: Mapping[str, np.ndarray],
    clusters: np.ndarray,
    joins: np.ndarray,
) -> None:
    """Writes `<data_dir>/selection/`.

    Args:
      components: see `Decision`.
    """
    with whole_directory(selection_directory(data_dir)) as folder:
        for source, found in codes.items():
            for name, array in (
                (_name(source), found),
                (_components_name(source), components[source]),
            ):
                with explained("write", folder / name):
                    np.save(folder / name, array)
        save_links(folder, clusters=clusters, joins=joins)
        report = {} if contamination is None else contamination.to_json()
        write_sealed(folder / CONTAMINATION, report)
        write_sealed(folder / MANIFEST, manifest.to_json())


def load_selection_manifest(data_dir: StrPath) -> SelectionManifest:
    """Returns the manifest.

    Raises:
      UserError: the documents were not selected, or a file is missing, truncated or damaged.
    """
    return _load_manifest(data_dir)[0]


def _load_manifest(data_dir: StrPath) -> tuple[SelectionManifest, Mapping[str, str]]:
    """Returns the manifest, and the SHA-256 of every file by name."""
    directory = selection_directory(data_dir)
    manifest, hashes = read_manifest(
        SelectionManifest, directory, "selection", version=FORMAT_VERSION
    )
    manifest = dataclasses.replace(
        manifest,
        num_documents=with_all_codes(manifest.num_documents),
        num_bytes=with_all_codes(manifest.num_bytes),
    )
    missing = [
        name
        for source in manifest.documents_hashes
        for name in (_name(source), _components_name(source))
        if name not in hashes
    ]
    if missing:
        raise UserError(
            f"damaged {directory}: {', '.join(missing)} is missing from files.json; "
            f"{folder_remedy(directory)}"
        )
    return manifest, hashes


def load_contamination(data_dir: StrPath) -> DecontaminationReport | None:
    """Returns which documents contain text of an evaluation set; None if none was given.

    Raises:
      UserError: the documents were not selected, or a file is missing or damaged.
    """
    directory = selection_directory(data_dir)
    hashes, remedy = _load_manifest(data_dir)[1], folder_remedy(directory)
    check_contents(directory, hashes, [CONTAMINATION], remedy=remedy)
    value, _ = read_sealed(directory / CONTAMINATION, remedy=remedy)
    return DecontaminationReport.from_json(value) if value else None


def load_selection(data_dir: StrPath, source: str, *, cache_bytes: int | None = None) -> np.ndarray:
    """Returns the code of each document of a source: [num_documents] uint8.

    Args:
      cache_bytes: `config.execution.row_cache_bytes`, the limit of local copies.

    Raises:
      UserError: the source was not selected, or its file is missing or damaged.
    """
    manifest, hashes = _load_manifest(data_dir)
    _check_source(manifest, data_dir, source)
    expected = manifest.num_documents[source]
    path = selection_directory(data_dir) / _name(source)
    codes = _load_array(path, hashes, sum(expected.values()), np.uint8, cache_bytes)
    found = code_counts(codes, np.ones(len(codes), np.uint8))
    if found != expected:
        raise UserError(
            f"damaged {path}: expected {dict(expected)} documents, found {found}; "
            f"{folder_remedy(path.parent)}"
        )
    return codes


def load_components(
    data_dir: StrPath, source: str, *, cache_bytes: int | None = None
) -> np.ndarray:
    """Returns the component of each held-out document of a source, in order: [n] uint64.

    Documents of one component were split together (`data/selection/split.py`), so components are
    the independent units of what is held out. Errors and arguments are those of `load_selection`.
    """
    manifest, hashes = _load_manifest(data_dir)
    _check_source(manifest, data_dir, source)
    path = selection_directory(data_dir) / _components_name(source)
    num_held_out = manifest.num_documents[source]["validation"]
    return _load_array(path, hashes, num_held_out, np.uint64, cache_bytes)


def _load_array(
    path: epath.Path,
    hashes: Mapping[str, str],
    length: int,
    dtype: type[np.generic],
    cache_bytes: int | None,
) -> np.ndarray:
    remedy = folder_remedy(path.parent)
    check_contents(path.parent, hashes, [path.name], remedy=remedy)
    with host_cache(cache_bytes).hold(path, sha256=hashes[path.name]) as local_path:
        return np.array(
            open_array(
                local_path,
                shape=(length,),
                dtype=np.dtype(dtype),
                shown_as=path,
                remedy=remedy,
            )
        )


def load_split(
    data_dir: StrPath, *, source: str, split: str, cache_bytes: int | None = None
) -> np.ndarray:
    """Returns whether each document of a source belongs to a split: [num_documents] bool.

    Raises:
      UserError: the source was not selected, or its file is missing or damaged.
    """
    return load_selection(data_dir, source, cache_bytes=cache_bytes) == CODES.index(split)


def split_documents(
    data_dir: StrPath, *, source: str, split: str, cache_bytes: int | None = None
) -> Iterator[Document]:
    """Yields the documents of one split of a source in the order in which they were read.

    Raises:
      UserError: a file is missing or damaged.
    """
    members = load_split(data_dir, source=source, split=split, cache_bytes=cache_bytes)
    yield from open_documents(data_dir, source, cache_bytes=cache_bytes).read(members)


def selection_hash(data_dir: StrPath, source: str, split: str) -> str:
    """Returns the hash of a source's documents and of which of them are in the split.

    It does not depend on other sources, as far as these do not change the split.

    Raises:
      UserError: the source was not selected, or a file is missing or damaged.
    """
    manifest = load_selection_manifest(data_dir)
    _check_source(manifest, data_dir, source)
    return manifest.split_hashes[source][split]


def split_hashes_of(codes: np.ndarray, documents_hash: str) -> dict[str, str]:
    """Returns the hash of each split of a source: see `selection_hash`."""
    members = {split: np.packbits(codes == CODES.index(split)).tobytes() for split in SPLITS}
    return {
        split: sha256_json({"documents": documents_hash, "members": sha256_bytes(found)})
        for split, found in members.items()
    }


def code_counts(codes: np.ndarray, amounts: np.ndarray) -> dict[str, int]:
    """Returns the sum of the amounts of the documents with each code, by its name."""
    return {
        name: int(amounts[codes == code].sum(dtype=np.int64)) for code, name in enumerate(CODES)
    }


def _check_source(manifest: SelectionManifest, data_dir: StrPath, source: str) -> None:
    if source not in manifest.split_hashes:
        directory = selection_directory(data_dir)
        raise UserError(
            f"{directory} has no selection of source {source!r}; {folder_remedy(directory)}"
        )


def _name(source: str) -> str:
    return f"{source}.npy"


def _components_name(source: str) -> str:
    return f"{source}.components.npy"
