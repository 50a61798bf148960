"""Counts and hashes of the prepared data, for a report. Imports no tokenizer or TensorFlow."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from rich.console import Group
from rich.text import Text

from codepretrain.config.schema import StudyConfig
from codepretrain.data.document import counted_reasons
from codepretrain.data.reading.documents import (
    SourceDocuments,
    find_documents,
    open_documents,
    pool_folder,
)
from codepretrain.data.reading.documents_manifest import DocumentsManifest
from codepretrain.data.reading.drop_table import drop_table
from codepretrain.data.selection.check import check_selection
from codepretrain.data.selection.selected import (
    SelectionManifest,
    selection_directory,
)
from codepretrain.data.selection.table import selection_lines, selection_table
from codepretrain.data.uncut_table import UncutTable
from codepretrain.errors import UserError
from codepretrain.files.hashing import sha256_json
from codepretrain.files.storage import StrPath, exists
from codepretrain.printable import printable
from codepretrain.rows.data_dir import current_tokenizer, reading_settings, require_prepared
from codepretrain.rows.eval_items import items_directory, load_items_manifest
from codepretrain.rows.format import SPLITS
from codepretrain.rows.held_out import held_out_directory
from codepretrain.rows.manifest import RowsManifest, rows_directories, rows_directory
from codepretrain.rows.verify import check_folder
from codepretrain.rows.vocabulary import load_vocabulary, tokenizer_directory, tokenizer_hashes


@dataclass(frozen=True, kw_only=True)
class PreparedData:
    """The manifests of a study's data.

    num_items: by task. seconds: wall time of each stage of this call of `prepare`; a stage that was
    finished before is omitted.
    """

    documents: Mapping[str, DocumentsManifest]
    selection: SelectionManifest
    rows: Mapping[tuple[str, str], RowsManifest]
    num_items: Mapping[str, int]
    tokenizer_hash: str
    vocab_size: int
    seconds: Mapping[str, float] = field(default_factory=dict)


def load_prepared(
    config: StudyConfig, data_dir: StrPath, *, seconds: Mapping[str, float] | None = None
) -> PreparedData:
    """Reads the manifests of everything that was prepared.

    Raises:
      UserError: something is missing or damaged, or does not match the study or its other parts.
    """
    rows = require_prepared(config, data_dir)
    items, _ = load_items_manifest(data_dir)
    documents = {
        source: check_documents(config, data_dir, source) for source in sorted(config.data.sources)
    }
    selection = check_selection(config, data_dir, documents)
    for (source, split), manifest in rows.items():
        if manifest.documents_hash != selection.split_hashes[source][split]:
            raise UserError(
                f"{rows_directory(data_dir, source, split)} was not packed from the documents in "
                f"{documents[source].folder}, or from another selection: delete "
                f"{data_dir} and prepare again"
            )
    return PreparedData(
        documents={source: found.manifest for source, found in documents.items()},
        selection=selection,
        rows=rows,
        num_items=items.num_items,
        tokenizer_hash=current_tokenizer(config, data_dir)[0],
        vocab_size=len(load_vocabulary(data_dir)),
        seconds=seconds or {},
    )


def check_documents(config: StudyConfig, data_dir: StrPath, source: str) -> SourceDocuments:
    """Returns a source's documents, whose files all have the size that is listed.

    Raises:
      UserError: the source was not read, a file is damaged, or it was read under other settings.
    """
    documents = find_study_documents(config, data_dir, source) or open_documents(data_dir, source)
    documents.check(reads_contents=False)
    return documents


def find_study_documents(
    config: StudyConfig, data_dir: StrPath, source: str
) -> SourceDocuments | None:
    """Returns a source's documents; None if it was not read or files were deleted.

    Raises:
      UserError: the manifest is damaged, or it was read under other settings.
    """
    cache_bytes = config.execution.row_cache_bytes
    documents = find_documents(data_dir, source, cache_bytes=cache_bytes)
    if documents is None:
        return None
    manifest, folder = documents.manifest, documents.folder
    settings_hash = sha256_json(reading_settings(config, source))
    limit = config.data.sources[source].options.get("max_bytes")
    expected = (settings_hash, pool_folder(data_dir, source, settings_hash).name, limit)
    if (manifest.settings_hash, folder.name, manifest.limit) != expected:
        raise UserError(
            f"{folder} was read under other settings; choose another --workdir, or delete "
            f"{data_dir} and prepare again"
        )
    return documents


def verify_prepared(
    config: StudyConfig, data_dir: StrPath, *, announce: Callable[[str], None] = lambda line: None
) -> PreparedData:
    """Reads every byte of the study's data, and returns its manifests.

    Args:
      announce: called with the result of each folder, damaged ones included.

    Raises:
      UserError: there is no data of this study; or names each file that is missing, truncated or
        altered, in all folders.
    """
    if not exists(data_dir):
        raise UserError(
            f"there is no prepared data of this study at {data_dir}: run `codepretrain prepare`, "
            "or give the --workdir and the data settings that it was prepared with"
        )
    damaged = []
    for directory, verify in _folders(config, data_dir).items():
        try:
            verify()
        except UserError as error:
            damaged.append(str(error))
            announce(str(error))
        else:
            announce(f"{directory}: every file is as it was written")
    if len(damaged) > 1:
        raise UserError(f"{len(damaged)} folders of {data_dir} are damaged: {'; '.join(damaged)}")
    if damaged:
        raise UserError(damaged[0])
    return load_prepared(config, data_dir)


def _folders(config: StudyConfig, data_dir: StrPath) -> dict[StrPath, Callable[[], object]]:
    """Returns every folder of the data, and a function that reads and verifies it."""
    directories = rows_directories(data_dir, config.data.sources)
    folders: dict[StrPath, Callable[[], object]] = {
        tokenizer_directory(data_dir): partial(tokenizer_hashes, data_dir)
    }
    for source in sorted(config.data.sources):
        folders[_documents_folder(config, data_dir, source)] = partial(
            _verify_documents, data_dir, source
        )
        for split in SPLITS:
            rows = directories[source, split]
            folders[rows] = partial(check_folder, rows, "prepared rows", reads_contents=True)
    selection = selection_directory(data_dir)
    folders[selection] = partial(check_folder, selection, "selection", reads_contents=True)
    for folder, what in (
        (held_out_directory(data_dir), "list of held-out documents"),
        (items_directory(data_dir), "task items"),
    ):
        folders[folder] = partial(check_folder, folder, what, reads_contents=True)
    return folders


def _documents_folder(config: StudyConfig, data_dir: StrPath, source: str) -> StrPath:
    return pool_folder(data_dir, source, sha256_json(reading_settings(config, source)))


def _verify_documents(data_dir: StrPath, source: str) -> None:
    open_documents(data_dir, source).check(reads_contents=True)


def summary(prepared: PreparedData) -> Group:
    """Returns sources × counts, what was skipped and why, and items per task, for the terminal.

    Print it with `crop=False`: its lines may be longer than the terminal is wide. They are not
    wrapped, so that a path can be copied, and hold file names, which are no markup.
    """
    lines: list[str] = []
    table = UncutTable(f"Prepared data (tokenizer {prepared.tokenizer_hash[:12]})")
    table.add_column("source", no_wrap=True)
    for name in ("documents", "MB", "tokens", "rows", "filled", "split"):
        table.add_column(name, justify="right")
    for (source, split), rows in prepared.rows.items():
        table.add_row(
            f"{source} ({split})",
            f"{rows.num_documents:,}",
            f"{rows.num_bytes / 1e6:.2f}",
            f"{rows.num_tokens:,}",
            f"{rows.num_rows:,}",
            f"{rows.efficiency:.1%}",
            f"{rows.num_split_documents:,}",
        )
    for source, documents in prepared.documents.items():
        if documents.skipped:
            reasons = counted_reasons(documents.skipped, documents.skipped_examples)
            lines.append(f"{source}: skipped {', '.join(reasons)}")
        if documents.was_capped:
            lines.append(
                f"{source}: reading stopped at config.data.sources.{source}.options.max_bytes; "
                "there is more raw material"
            )
    splits = prepared.selection.settings.get("splits", {})
    empty = [
        source
        for (source, split), rows in prepared.rows.items()
        if split == "validation" and not rows.num_rows and splits.get(source) != "train"
    ]
    if empty:
        lines.append(
            f"warning: no held-out rows of {', '.join(empty)}: too few documents, or groups larger "
            "than the held-out share; config.data.validation_fraction is "
            f"{prepared.selection.settings['validation_fraction']:g}"
        )
    found = [f"{count} {task}" for task, count in prepared.num_items.items() if count]
    items = ", ".join(found) or "none"
    filtered = drop_table(prepared.documents)
    tables = [selection_table(prepared.documents, prepared.selection), table]
    lines += selection_lines(prepared.selection)
    lines.append(f"items of held-out documents: {items}")
    texts = [Text(printable(line), no_wrap=True, overflow="ignore") for line in lines]
    return Group(*tables, *([filtered] if filtered else []), *texts)
