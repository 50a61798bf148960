"""Location and settings of the prepared data, and checks that it matches a study.

Training processes call this, so it imports no tokenizer, seqio or TensorFlow.

Every file records hashes of its inputs: documents of the reader's settings, the selection of the
documents, rows of the documents, their split, the tokenizer and the packing settings, items of all
settings, and a run of its rows.
"""

from typing import Any

from etils import epath

from codepretrain.config.parse import to_dict
from codepretrain.config.schema import StudyConfig, TokenizerConfig
from codepretrain.errors import DamageError, UserError
from codepretrain.files.hashing import sha256_file, sha256_json
from codepretrain.files.sealed import read_sealed
from codepretrain.files.storage import StrPath, is_file
from codepretrain.rows.changed_settings import changed_settings
from codepretrain.rows.eval_items import has_items, items_directory, load_items_manifest
from codepretrain.rows.folders import folders_path, load_folders, rows_pool
from codepretrain.rows.format import FORMAT_VERSION
from codepretrain.rows.held_out import check_held_out, has_held_out
from codepretrain.rows.manifest import (
    RowsManifest,
    has_rows,
    load_manifest,
    rows_directories,
    rows_directory,
)
from codepretrain.rows.vocabulary import has_tokenizer, tokenizer_hashes, tokenizer_path

# Raised whenever readers, selection, tokenizer, packing or items change in a way that changes their
# results.
_DATA_VERSION = 5

# Readers' options that change no document: how many parts are read, whether they are accepted, and
# where a reader keeps files of its own.
_NOT_OF_DOCUMENTS = {"max_bytes", "max_damaged_share", "scratch_path", "verdicts"}


def reading_settings(config: StudyConfig, source: str) -> dict[str, Any]:
    """Returns the settings that determine the documents of each part of a source.

    Options in `_NOT_OF_DOCUMENTS` are left out.
    """
    chosen = config.data.sources[source]
    names = sorted(chosen.options.keys() - _NOT_OF_DOCUMENTS)
    options = {name: to_dict(chosen.options[name]) for name in names}
    return {
        "version": _DATA_VERSION,
        "source": source,
        "reader": chosen.reader,
        "options": options,
        "filters": to_dict(chosen.filters),
    }


def source_settings(config: StudyConfig, source: str) -> dict[str, Any]:
    """Returns all settings of a source that determine its rows.

    The split, and a tokenizer that is trained, also depend on the other sources.
    """
    return {
        **reading_settings(config, source),
        "max_bytes": config.data.sources[source].options.get("max_bytes"),
        **selection_settings(config),
        "tokenizer": _tokenizer_settings(config.data.tokenizer),
        **packing_settings(config),
    }


def packing_settings(config: StudyConfig) -> dict[str, Any]:
    """Returns the settings that determine the rows of given documents and tokenizer."""
    return {
        "packing": config.data.packing,
        "max_seq_len": config.data.max_seq_len,
        "part_bytes": config.data.part_bytes,
        "row_format": FORMAT_VERSION,
    }


def selection_settings(config: StudyConfig) -> dict[str, Any]:
    """Returns the settings that determine which documents are used and which are held out.

    Of evaluation sets these are the names and paths. The selection records their contents.
    """
    decontamination = to_dict(config.data.decontamination)
    deduplication = to_dict(config.data.deduplication)
    if not deduplication["keep_near"]:
        del deduplication["keep_near"]  # data prepared before it existed stay valid
    splits = {
        name: source.split
        for name, source in sorted(config.data.sources.items())
        if source.split != "by_group"
    }
    return {
        **({"splits": splits} if splits else {}),
        "validation_fraction": config.data.validation_fraction,
        "deduplication": deduplication,
        "decontamination": {
            **decontamination,
            "benchmarks": dict(sorted(decontamination["benchmarks"].items())),
        },
    }


def rows_identity(
    config: StudyConfig, *, split: str, documents_hash: str, tokenizer: tuple[str, str]
) -> str:
    """Returns the hash of all inputs of a source's rows of one split.

    Args:
      documents_hash: of the source's documents and of which are in the split.
      tokenizer: the hashes of its two files, as `current_tokenizer` returns them.
    """
    inputs = {"split": split, "documents": documents_hash, "tokenizer": list(tokenizer)}
    return sha256_json({**inputs, "packing": packing_settings(config)})


def _tokenizer_settings(tokenizer: TokenizerConfig) -> dict[str, Any]:
    settings = dict(vars(tokenizer))
    settings["training_weights"] = dict(sorted(tokenizer.training_weights.items()))
    return settings


def study_settings(config: StudyConfig) -> dict[str, Any]:
    """Returns the settings that determine the study's data: each source's settings and kind."""
    return {
        name: {**source_settings(config, name), "kind": chosen.kind}
        for name, chosen in sorted(config.data.sources.items())
    }


def settings_hash(config: StudyConfig, source: str) -> str:
    """Returns the hash of all settings that determine the source's rows."""
    return sha256_json(source_settings(config, source))


def study_settings_hash(config: StudyConfig) -> str:
    """Returns the hash of all settings that determine the study's data."""
    return sha256_json(study_settings(config))


def data_dir(workdir: StrPath, config: StudyConfig) -> epath.Path:
    """Returns where the study's data is; studies with the same data settings share it."""
    return epath.Path(workdir) / "data" / study_settings_hash(config)[:12]


def settings_path(data_dir: StrPath) -> epath.Path:
    """Returns where `prepare` writes the settings, used to explain a mismatch."""
    return epath.Path(data_dir) / "settings.json"


def is_prepared(config: StudyConfig, data_dir: StrPath) -> bool:
    """Returns whether all of the study's data exists.

    Raises:
      UserError: it exists, but is damaged or was made with other settings.
    """
    directories = rows_directories(data_dir, config.data.sources)
    if not (has_held_out(data_dir) and has_items(data_dir) and has_tokenizer(data_dir)):
        return False
    if not all(map(has_rows, directories.values())):
        return False
    require_prepared(config, data_dir)
    return True


def require_prepared(config: StudyConfig, data_dir: StrPath) -> dict[tuple[str, str], RowsManifest]:
    """Returns the manifest of every (source, split) of the study.

    Raises:
      UserError: rows, the list of held-out documents or task items are missing or damaged, or
        were made under other settings or with another tokenizer.
    """
    directories = rows_directories(data_dir, sorted(config.data.sources))
    manifests = {
        (source, split): load_manifest(directory, source=source, split=split)
        for (source, split), directory in directories.items()
    }
    check_rows(config, manifests, data_dir)
    held_out = {source: found for (source, split), found in manifests.items() if split != "train"}
    check_items(config, manifests, data_dir)  # first: it names a tokenizer that changed
    check_held_out(held_out, data_dir, settings_hash=study_settings_hash(config))
    return manifests


def check_rows(
    config: StudyConfig, manifests: dict[tuple[str, str], RowsManifest], data_dir: StrPath
) -> None:
    """Checks that rows were made under the study's settings and with its tokenizer.

    Raises:
      UserError: names the settings that differ, or both tokenizers' hashes.
    """
    if not manifests:
        return
    folders = load_folders(data_dir)
    if unlisted := sorted(source for source, _ in manifests.keys() - folders.keys()):
        raise UserError(
            f"{folders_path(data_dir)} lists no rows of source {unlisted[0]!r}: run `codepretrain "
            "prepare` first"
        )
    for source, split in manifests:
        if folders[source, split].settings_hash != settings_hash(config, source):
            raise UserError(
                f"{folders_path(data_dir)} lists rows that were prepared under other settings"
                f"{_differences(config, source, data_dir)}; choose another --workdir, or delete "
                f"{data_dir} and prepare again"
            )
    tokenizer_hash, vocabulary_hash = current_tokenizer(config, data_dir)
    for (source, split), manifest in manifests.items():
        directory = rows_pool(data_dir) / folders[source, split].folder
        if manifest.identity != folders[source, split].identity:
            raise DamageError(
                f"{directory} holds other rows than {folders_path(data_dir)} says: restore it, or "
                f"delete both and prepare again"
            )
        _check_tokenizer(directory, manifest.tokenizer_hash, tokenizer_hash, data_dir)
        if manifest.vocabulary_hash != vocabulary_hash:
            raise UserError(
                f"{directory} was packed with another vocabulary.json than the one beside "
                f"{tokenizer_path(data_dir)}: restore it, or delete {data_dir} and prepare again"
            )


def check_items(
    config: StudyConfig, manifests: dict[tuple[str, str], RowsManifest], data_dir: StrPath
) -> None:
    """Checks that task items were made from the same documents and tokenizer as the rows.

    Args:
      manifests: of rows that `check_rows` accepted.

    Raises:
      UserError: they are missing, damaged, or made from others.
    """
    items, _ = load_items_manifest(data_dir)
    directory = items_directory(data_dir)
    if items.settings_hash != study_settings_hash(config):
        raise UserError(
            f"{directory} was prepared under other settings: delete it and prepare again"
        )
    for (source, split), manifest in manifests.items():
        _check_tokenizer(directory, items.tokenizer_hash, manifest.tokenizer_hash, data_dir)
        if split != "validation":  # items are made from held-out documents
            continue
        if manifest.documents_hash != items.documents_hashes.get(source):
            raise UserError(
                f"{rows_directory(data_dir, source, split)} and {directory} were made from "
                f"different documents of source {source!r}: delete {data_dir} and prepare again"
            )


def current_tokenizer(config: StudyConfig, data_dir: StrPath) -> tuple[str, str]:
    """Returns the SHA-256 of the data's `tokenizer.json` and of its `vocabulary.json`.

    Raises:
      UserError: they are missing or damaged, or the file that the tokenizer was copied from has
        changed since.
    """
    found, vocabulary_hash = tokenizer_hashes(data_dir)
    original = config.data.tokenizer.path
    if original and is_file(original) and (now := sha256_file(original)) != found:
        raise UserError(
            f"the tokenizer changed under packed rows: {original} is tokenizer {now[:12]}, the "
            f"data in {data_dir} was prepared with {found[:12]}; restore the former file, or "
            f"delete {data_dir} and prepare again"
        )
    return found, vocabulary_hash


def _check_tokenizer(directory: StrPath, made_with: str, found: str, data_dir: StrPath) -> None:
    if made_with != found:
        raise UserError(
            f"the tokenizer changed under prepared data: {directory} was made with tokenizer "
            f"{made_with[:12]}, {tokenizer_path(data_dir)} is {found[:12]}; restore the former "
            f"file, or delete {data_dir} and prepare again"
        )


def _differences(config: StudyConfig, source: str, data_dir: StrPath) -> str:
    """Returns " (option: old → new, …)" where the old settings are known."""
    path = settings_path(data_dir)
    if not is_file(path):
        return ""
    old_settings, _ = read_sealed(path, remedy=f"delete {data_dir} and prepare again")
    changes = [
        f"{name}: {old!r} → {new!r}"
        for name, old, new in changed_settings(
            old_settings.get(source, {}), study_settings(config)[source]
        )
    ]
    return f" ({', '.join(changes)})" if changes else ""
