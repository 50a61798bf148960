"""Which parts of a study's data are not prepared."""

from codepretrain.config.schema import StudyConfig
from codepretrain.data.reading.documents import has_documents
from codepretrain.data.selection.selected import has_selection
from codepretrain.files.storage import StrPath
from codepretrain.rows.eval_items import has_items
from codepretrain.rows.held_out import has_held_out
from codepretrain.rows.manifest import has_rows, rows_directories
from codepretrain.rows.vocabulary import has_tokenizer


def missing_documents(config: StudyConfig, data_dir: StrPath) -> list[str]:
    """Returns what is missing of documents and selection, in words; none if both are whole.

    Raises:
      UserError: a list or a manifest is damaged.
    """
    sources = [s for s in sorted(config.data.sources) if not has_documents(data_dir, s)]
    missing = [f"documents of {', '.join(sources)}"] if sources else []
    return missing + ([] if has_selection(data_dir) else ["selection"])


def missing_parts(config: StudyConfig, data_dir: StrPath) -> list[str]:
    """Returns what is missing of all parts, as `missing_documents`."""
    missing = missing_documents(config, data_dir)
    if not has_tokenizer(data_dir):
        missing.append("tokenizer")
    directories = rows_directories(data_dir, config.data.sources)
    sources = {source for (source, _), directory in directories.items() if not has_rows(directory)}
    if sources:
        missing.append(f"rows of {', '.join(sorted(sources))}")
    if not has_held_out(data_dir):
        missing.append("list of held-out documents")
    return missing + ([] if has_items(data_dir) else ["evaluation items"])
