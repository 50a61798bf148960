"""Removes prepared data that was made from other documents than there are now."""

from collections.abc import Sequence

from codepretrain.config.schema import StudyConfig
from codepretrain.data.reading.documents_view import load_documents_view
from codepretrain.data.selection.selected import selection_directory
from codepretrain.files.directory import is_whole, remove_directory
from codepretrain.files.storage import StrPath, remove
from codepretrain.rows.eval_items import items_directory
from codepretrain.rows.folders import folders_path
from codepretrain.rows.held_out import held_out_directory
from codepretrain.rows.vocabulary import tokenizer_directory


def remove_outdated(config: StudyConfig, data_dir: StrPath, sources: Sequence[str]) -> None:
    """Removes what was made from all sources, before some of them are read again.

    Documents and rows in the pools stay, as other studies may use them; the study's lists name
    others when they are made. Whenever this or what follows is interrupted, what is missing is made
    again.
    """
    if not load_documents_view(data_dir).keys() & set(sources):
        return
    remove_made_from_selection(config, data_dir)
    remove_directory(selection_directory(data_dir))


def remove_made_from_selection(config: StudyConfig, data_dir: StrPath) -> None:
    """Removes items, the list of held-out documents, a trained tokenizer, and the list of rows.

    Call it before a new selection is made. Evaluation sets may have changed since a selection that
    was deleted, and nothing but that selection recorded them.
    """
    made = [items_directory(data_dir), held_out_directory(data_dir)]
    if config.data.tokenizer.path is None:
        made.append(tokenizer_directory(data_dir))
    for directory in made:
        if is_whole(directory):
            remove_directory(directory)
    remove(folders_path(data_dir))
