"""Removes prepared data that was made from other documents than there are now."""

from collections.abc import Sequence

from codepretrain.config.schema import StudyConfig
from codepretrain.data.documents import documents_directory, has_documents
from codepretrain.data.splits import splits_directory
from codepretrain.files.directory import remove_directory
from codepretrain.files.storage import StrPath, remove
from codepretrain.rows.eval_items import items_directory
from codepretrain.rows.folders import folders_path
from codepretrain.rows.vocabulary import tokenizer_directory


def remove_outdated(config: StudyConfig, data_dir: StrPath, sources: Sequence[str]) -> None:
    """Removes documents of sources that are to be read again, and what all sources are in.

    Splits, evaluation items, the list of rows and a trained tokenizer go first: whenever this is
    interrupted, what is missing is made again. Folders of rows stay, as other studies may use them.
    """
    if not any(has_documents(documents_directory(data_dir, source)) for source in sources):
        return
    remove_directory(items_directory(data_dir))
    if config.data.tokenizer.path is None:
        remove_directory(tokenizer_directory(data_dir))
    remove(folders_path(data_dir))
    remove_directory(splits_directory(data_dir))
    for source in sources:
        remove_directory(documents_directory(data_dir, source))
