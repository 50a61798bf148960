"""Which documents of every source are held out: by group, the same in every source.

    <data_dir>/splits/
        <source>.npy     [num_documents] bool: held out
        manifest.json    counts, and hashes of the documents that were split; sealed
        files.json       size and hash of every file, written last

Groups that share a text, in one source or in several, are joined into components
(`data/components.py`). A keyed hash of its component decides whether a document is held out. So no
group and no text is in the training rows of one source and in the held-out rows of another, and the
split does not depend on the order in which documents were read.

A component with more documents than the held-out share of the study is trained on: it could only be
held out instead of everything else.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from etils import epath

from codepretrain.data.components import Components, exact_joins
from codepretrain.data.document import Document
from codepretrain.data.documents import open_documents
from codepretrain.errors import UserError
from codepretrain.files.directory import is_whole, whole_directory
from codepretrain.files.explain import explained
from codepretrain.files.hashing import sha256_json
from codepretrain.files.sealed import write_sealed
from codepretrain.files.storage import StrPath
from codepretrain.rows.format import SPLITS
from codepretrain.rows.records import open_array
from codepretrain.rows.sampling import keyed_hash
from codepretrain.rows.shard_files import host_cache
from codepretrain.rows.verify import (
    MANIFEST,
    check_contents,
    check_folder,
    folder_remedy,
    read_manifest,
)

FORMAT_VERSION = 1
# Components of up to this many documents may be held out, however small the study is.
_ALWAYS_SMALL = 100


@dataclass(frozen=True, kw_only=True)
class SplitsManifest:
    """Counts of the split, and what was split.

    documents_hashes: of each source's documents. num_documents, num_bytes: source → split → count.
    num_components: groups, joined groups counted once. num_joins: pairs of groups that were joined.
    num_too_large: documents that are trained on because their component is too large to hold out.
    """

    format_version: int
    validation_fraction: float
    documents_hashes: Mapping[str, str]
    num_documents: Mapping[str, Mapping[str, int]]
    num_bytes: Mapping[str, Mapping[str, int]]
    num_components: int
    num_joins: int
    num_too_large: int

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def splits_directory(data_dir: StrPath) -> epath.Path:
    """Returns where the splits are below the study's data directory."""
    return epath.Path(data_dir) / "splits"


def has_splits(data_dir: StrPath) -> bool:
    """Returns whether the sources were split."""
    return is_whole(splits_directory(data_dir))


def write_splits(
    data_dir: StrPath,
    sources: Sequence[str],
    *,
    fraction: float,
    more_joins: Sequence[np.ndarray] = (),
    cache_bytes: int | None = None,
) -> None:
    """Splits the documents of all sources of a study and writes `<data_dir>/splits/`.

    Holds the keys of all documents in memory: about 50 bytes a document.

    Args:
      fraction: expected share of components that are held out.
      more_joins: arrays [m, 2] uint64 of keys of groups that must follow one split beyond those
        that share a text, such as groups with near-duplicates (`data/keys.py` makes the keys).
      cache_bytes: `config.execution.row_cache_bytes`, the limit of local copies.

    Raises:
      UserError: a source has no training documents, or its documents are damaged.
    """
    hashes, counts, keys = {}, {}, {}
    for source in sources:
        documents = open_documents(data_dir, source, cache_bytes=cache_bytes)
        hashes[source], counts[source] = documents.hash, documents.num_within_limit
        keys[source] = documents.keys()
    joins = np.concatenate([exact_joins(list(keys.values())), *more_joins])
    kept = {source: keys[source][: counts[source]] for source in sources}
    of = Components(joins).of
    components = {source: of(found["group"]) for source, found in kept.items()}
    too_large, num_components = _sizes(list(components.values()), fraction)
    held_out = {
        source: is_held_out(found, fraction) & ~np.isin(found, too_large)
        for source, found in components.items()
    }
    _check_training(held_out)
    splits = SplitsManifest(
        format_version=FORMAT_VERSION,
        validation_fraction=fraction,
        documents_hashes=hashes,
        num_documents={s: _counts(held_out[s], np.ones(counts[s], np.int64)) for s in sources},
        num_bytes={s: _counts(held_out[s], kept[s]["num_bytes"]) for s in sources},
        num_components=num_components,
        num_joins=len(joins),
        num_too_large=int(sum(np.isin(c, too_large).sum() for c in components.values())),
    )
    with whole_directory(splits_directory(data_dir)) as folder:
        for source in sources:
            with explained("write", folder / _name(source)):
                np.save(folder / _name(source), held_out[source])
        write_sealed(folder / MANIFEST, splits.to_json())


def is_held_out(components: np.ndarray, fraction: float) -> np.ndarray:
    """Returns whether each component is held out, by a keyed hash of its name: [n] bool."""
    return keyed_hash(components, "split") < np.uint64(int(fraction * 2**64))


def load_splits_manifest(data_dir: StrPath) -> tuple[SplitsManifest, Mapping[str, str]]:
    """Returns the manifest, and by source the hash of its documents and of their split.

    Raises:
      UserError: the sources were not split, or a file is missing, truncated or damaged.
    """
    directory = splits_directory(data_dir)
    hashes, remedy = (
        check_folder(directory, "splits", reads_contents=False),
        folder_remedy(directory),
    )
    check_contents(directory, hashes, [MANIFEST], remedy=remedy)
    manifest = read_manifest(SplitsManifest, directory, version=FORMAT_VERSION)
    missing = [_name(source) for source in manifest.documents_hashes if _name(source) not in hashes]
    if missing:
        raise UserError(
            f"damaged {directory}: {', '.join(missing)} is missing from files.json; {remedy}"
        )
    return manifest, {
        source: sha256_json({"documents": documents, "held out": hashes[_name(source)]})
        for source, documents in manifest.documents_hashes.items()
    }


def load_split(
    data_dir: StrPath, *, source: str, split: str, cache_bytes: int | None = None
) -> np.ndarray:
    """Returns whether each document of a source belongs to a split: [num_documents] bool.

    Raises:
      UserError: the source was not split, or its file is missing or damaged.
    """
    manifest, _ = load_splits_manifest(data_dir)
    directory = splits_directory(data_dir)
    hashes, remedy = (
        check_folder(directory, "splits", reads_contents=False),
        folder_remedy(directory),
    )
    if source not in manifest.num_documents:
        raise UserError(f"{directory} has no split of source {source!r}; {remedy}")
    path = directory / _name(source)
    check_contents(directory, hashes, [path.name], remedy=remedy)
    num_documents = sum(manifest.num_documents[source].values())
    with host_cache(cache_bytes).hold(path, sha256=hashes[path.name]) as local_path:
        held_out = np.array(
            open_array(
                local_path,
                shape=(num_documents,),
                dtype=np.dtype(bool),
                shown_as=path,
                remedy=remedy,
            )
        )
    members = held_out if split == "validation" else ~held_out
    if members.sum() != manifest.num_documents[source][split]:
        raise UserError(
            f"damaged {path}: expected {manifest.num_documents[source][split]} documents of split "
            f"{split!r}, found {members.sum()}; {remedy}"
        )
    return members


def split_documents(
    data_dir: StrPath, *, source: str, split: str, cache_bytes: int | None = None
) -> Iterator[Document]:
    """Yields the documents of one split of a source in the order in which they were read.

    Raises:
      UserError: a file is missing or damaged.
    """
    members = load_split(data_dir, source=source, split=split, cache_bytes=cache_bytes)
    documents = open_documents(data_dir, source, cache_bytes=cache_bytes)
    wanted = np.zeros(documents.manifest.num_documents, bool)
    wanted[: len(members)] = members
    yield from documents.read(wanted)


def _sizes(components: Sequence[np.ndarray], fraction: float) -> tuple[np.ndarray, int]:
    """Returns the components that are too large to hold out, and the number of all."""
    names, sizes = np.unique(np.concatenate(components), return_counts=True)
    return names[sizes > max(_ALWAYS_SMALL, fraction * sizes.sum())], len(names)


def _check_training(held_out: Mapping[str, np.ndarray]) -> None:
    for source, found in held_out.items():
        if found.all():
            raise UserError(
                f"config.data.sources.{source} has no training documents: all {len(found):,} are "
                "held out; add documents, or lower config.data.validation_fraction"
            )


def _counts(held_out: np.ndarray, amounts: np.ndarray) -> dict[str, int]:
    chosen = {"train": ~held_out, "validation": held_out}
    return {split: int(amounts[chosen[split]].sum(dtype=np.int64)) for split in SPLITS}


def _name(source: str) -> str:
    return f"{source}.npy"
