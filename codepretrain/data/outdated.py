"""Removes prepared data that was made from other documents than there are now."""

from collections.abc import Sequence

from codepretrain.config.schema import StudyConfig
from codepretrain.data.documents_view import load_documents_view
from codepretrain.data.selection import (
    load_selection_manifest,
    selection_directory,
    source_hashes,
)
from codepretrain.files.directory import remove_directory
from codepretrain.files.storage import StrPath
from codepretrain.rows.data_dir import current_tokenizer
from codepretrain.rows.eval_items import items_directory
from codepretrain.rows.format import SPLITS
from codepretrain.rows.manifest import has_rows, load_manifest, rows_directory
from codepretrain.rows.vocabulary import tokenizer_directory


def remove_outdated(config: StudyConfig, data_dir: StrPath, sources: Sequence[str]) -> None:
    """Removes what was made from all sources, before some of them are read again.

    Documents in the pool stay; the study's list names others when they are read. Whenever this or
    what follows is interrupted, what is missing is made again.
    """
    if not load_documents_view(data_dir).keys() & set(sources):
        return
    remove_directory(items_directory(data_dir))
    if config.data.tokenizer.path is None:
        remove_directory(tokenizer_directory(data_dir))
    remove_directory(selection_directory(data_dir))


def remove_outdated_rows(config: StudyConfig, data_dir: StrPath) -> None:
    """Removes rows of other documents, of another selection, or of another tokenizer."""
    documents_hashes = source_hashes(load_selection_manifest(data_dir))
    tokenizer = current_tokenizer(config, data_dir)
    for source in config.data.sources:
        for split in SPLITS:
            directory = rows_directory(data_dir, source, split)
            if not has_rows(directory):
                continue
            rows = load_manifest(directory, source=source, split=split)
            found = (rows.documents_hash, rows.tokenizer_hash, rows.vocabulary_hash)
            if found != (documents_hashes[source], *tokenizer):
                remove_directory(directory)
