"""Which settings made the prepared data, where it lies, and whether it suits a study.

Light: a training process calls this, so no tokenizer, seqio or TensorFlow is imported here.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError
from codepretrain.files.identity import digest
from codepretrain.rows.format import (
    FORMAT_VERSION,
    SPLITS,
    RowsManifest,
    file_sha256,
    rows_directory,
)
from codepretrain.rows.vocabulary import tokenizer_path

# Raised whenever readers, tokenizer, packing or items change in a way that changes their results.
_DATA_VERSION = 1


def reading_settings(config: StudyConfig, source: str) -> dict[str, Any]:
    """All that decides which documents a source gives, and which of them are held out."""
    chosen = config.data.sources[source]
    return {
        "version": _DATA_VERSION,
        "reader": chosen.reader,
        "options": dict(sorted(chosen.options.items())),
        "validation_fraction": config.data.validation_fraction,
    }


def source_settings(config: StudyConfig, source: str) -> dict[str, Any]:
    """All that decides a source's rows, but for the tokenizer's training on other sources."""
    return {
        **reading_settings(config, source),
        "tokenizer": dataclasses.asdict(config.data.tokenizer),
        "packing": config.data.packing,
        "max_seq_len": config.data.max_seq_len,
        "row_format": FORMAT_VERSION,
    }


def study_settings(config: StudyConfig) -> dict[str, Any]:
    """All that decides the study's data: every source's settings and kind."""
    return {
        name: {**source_settings(config, name), "kind": chosen.kind}
        for name, chosen in sorted(config.data.sources.items())
    }


def settings_hash(config: StudyConfig, source: str) -> str:
    """Hash of all settings that decide the source's rows."""
    return digest(source_settings(config, source))


def data_dir(workdir: Path, config: StudyConfig) -> Path:
    """Where the study's data lies: studies with the same data settings share it, others do not."""
    return Path(workdir) / "data" / digest(study_settings(config))[:12]


def settings_path(data_dir: Path) -> Path:
    """Where `prepare` writes the settings, so that a mismatch can be explained."""
    return data_dir / "settings.json"


def is_prepared(config: StudyConfig, data_dir: Path) -> bool:
    """Whether all of the study's data is there; raises UserError where it is there and unfit."""
    directories = [
        rows_directory(data_dir, source, split)
        for source in config.data.sources
        for split in SPLITS
    ]
    if not all((path / "manifest.json").exists() for path in [*directories, data_dir / "evals"]):
        return False
    require_prepared(config, data_dir)
    return True


def require_prepared(config: StudyConfig, data_dir: Path) -> dict[tuple[str, str], RowsManifest]:
    """The manifest of every (source, split) of the study.

    Raises:
        UserError: rows are missing, incomplete, made under other settings, or packed with another
            tokenizer.
    """
    manifests = {}
    for source in sorted(config.data.sources):
        for split in SPLITS:
            directory = rows_directory(data_dir, source, split)
            manifest = RowsManifest.load(directory)
            check_rows(config, manifest, data_dir)
            manifest.check_files(directory)
            manifests[source, split] = manifest
    return manifests


def check_rows(config: StudyConfig, manifest: RowsManifest, data_dir: Path) -> None:
    """Checks that rows were made by the study's settings and tokenizer.

    Raises:
        UserError: names the settings, or both tokenizers' hashes.
    """
    directory = rows_directory(data_dir, manifest.source, manifest.split)
    if manifest.settings_hash != settings_hash(config, manifest.source):
        raise UserError(
            f"{directory} was prepared under other settings"
            f"{_differences(config, manifest.source, data_dir)}; choose another --workdir, or "
            f"delete {data_dir} and prepare again"
        )
    found = current_tokenizer_hash(config, data_dir)
    if manifest.tokenizer_hash != found:
        raise UserError(
            f"the tokenizer changed under packed rows: {directory} was packed with tokenizer "
            f"{manifest.tokenizer_hash[:12]}, {tokenizer_path(data_dir)} is {found[:12]}; put the "
            f"former back, or delete {data_dir} and prepare again"
        )


def current_tokenizer_hash(config: StudyConfig, data_dir: Path) -> str:
    """Hash of the data's `tokenizer.json`.

    Raises:
        UserError: it is not there, or the file it was copied from has changed since.
    """
    path = tokenizer_path(data_dir)
    if not path.exists():
        raise UserError(f"no tokenizer at {path}: run `codepretrain prepare` first")
    found = file_sha256(path)
    original = Path(config.data.tokenizer.path) if config.data.tokenizer.path else path
    if original.exists() and file_sha256(original) != found:
        raise UserError(
            f"the tokenizer changed under packed rows: {original} is tokenizer "
            f"{file_sha256(original)[:12]}, the data in {data_dir} was prepared with {found[:12]}; "
            f"put the former back, or delete {data_dir} and prepare again"
        )
    return found


def _differences(config: StudyConfig, source: str, data_dir: Path) -> str:
    """ ": option: old → new, …" where the old settings are known."""
    path = settings_path(data_dir)
    if not path.exists():
        return ""
    old = _flat(json.loads(path.read_text(encoding="utf-8")).get(source, {}))
    new = _flat(study_settings(config)[source])
    changes = [
        f"{key}: {old.get(key)!r} → {new.get(key)!r}"
        for key in sorted(old | new)
        if old.get(key) != new.get(key)
    ]
    return f" ({', '.join(changes)})" if changes else ""


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for key, value in settings.items():
        flat.update(
            _flat(value, f"{prefix}{key}.")
            if isinstance(value, dict)
            else {f"{prefix}{key}": value}
        )
    return flat
