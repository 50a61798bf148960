"""Checks that the selection was made from the study's documents, settings and evaluation sets."""

from collections.abc import Mapping

from codepretrain.config.schema import StudyConfig
from codepretrain.data.decontaminate.benchmarks import read_benchmarks
from codepretrain.data.reading.documents import SourceDocuments
from codepretrain.data.selection.selected import (
    SelectionManifest,
    has_selection,
    load_selection_manifest,
    selection_directory,
)
from codepretrain.errors import UserError
from codepretrain.files.storage import StrPath
from codepretrain.rows.changed_settings import changed_settings
from codepretrain.rows.data_dir import selection_settings

_BENCHMARKS = "config.data.decontamination.benchmarks"


def check_selection(
    config: StudyConfig, data_dir: StrPath, documents: Mapping[str, SourceDocuments]
) -> SelectionManifest:
    """Returns the manifest of the selection.

    Args:
      documents: the study's, by source.

    Raises:
      UserError: there is no selection, a file is damaged, or it was made from other documents or
        under other settings.
    """
    manifest = load_selection_manifest(data_dir)
    directory = selection_directory(data_dir)
    changes = [
        f"config.data.{name} {old!r} → {new!r}"
        for name, old, new in changed_settings(manifest.settings, selection_settings(config))
    ]
    if changes:
        raise UserError(
            f"{directory} was made under other settings ({', '.join(changes)}); choose another "
            f"--workdir, or delete {data_dir} and prepare again"
        )
    for source, found in sorted(documents.items()):
        if found.hash != manifest.documents_hashes.get(source):
            raise UserError(
                f"{directory} was not made from the documents in {found.folder}: delete "
                f"{data_dir} and prepare again"
            )
    if unknown := sorted(manifest.documents_hashes.keys() - documents.keys()):
        raise UserError(
            f"{directory} was made from more sources ({', '.join(unknown)}): delete {data_dir} and "
            "prepare again"
        )
    return manifest


def changed_benchmarks(config: StudyConfig, data_dir: StrPath) -> list[str]:
    """Returns the evaluation sets whose files are not those that the selection was made with.

    A selection that is whole does not need them: files that are missing then count as unchanged.

    Raises:
      UserError: an evaluation set is unreadable, or missing before there is a selection.
    """
    is_selected = has_selection(data_dir)
    found = read_benchmarks(config.data.decontamination, may_be_missing=is_selected)
    if not is_selected:
        return []
    selected = load_selection_manifest(data_dir).benchmarks
    return [
        name
        for name, benchmark in found.items()
        if name in selected and selected[name].sha256 != benchmark.sha256
    ]


def check_benchmarks(
    config: StudyConfig, data_dir: StrPath, *, rereads_changed: bool, selects_again: bool = False
) -> None:
    """Checks the evaluation sets before anything is read or removed.

    Args:
      rereads_changed: select again if an evaluation set changed, instead of refusing it.
      selects_again: whatever changed.

    Raises:
      UserError: as `changed_benchmarks`; an evaluation set changed and `rereads_changed` is False;
        or one is missing that the next selection needs.
    """
    changed = changed_benchmarks(config, data_dir)
    if changed and not rereads_changed:
        raise UserError(
            f"{_BENCHMARKS}.{changed[0]}: its files changed since the documents were compared with "
            "them"
            + (f"; so did those of {', '.join(changed[1:])}" if changed[1:] else "")
            + ": restore them, or prepare with --reread-changed"
        )
    if changed or selects_again:
        read_benchmarks(config.data.decontamination)
