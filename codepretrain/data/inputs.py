"""Checks everything that preparation reads, before it reads any of it."""

from collections.abc import Callable, Mapping
from typing import Any

from codepretrain.config.schema import StudyConfig
from codepretrain.data.prepared import find_study_documents
from codepretrain.data.readers.reader import Reader
from codepretrain.data.reading.documents import SourceDocuments
from codepretrain.data.reading.inventory import ChangedFilesError
from codepretrain.data.reading.raw_files import check_raw_files
from codepretrain.data.reading.read_source import check_damaged_share
from codepretrain.data.selection.check import check_benchmarks
from codepretrain.data.tokenization.tokenizer import load_tokenizer
from codepretrain.errors import UserError
from codepretrain.files.storage import StrPath
from codepretrain.rows.data_dir import current_tokenizer
from codepretrain.rows.vocabulary import has_tokenizer


def check_inputs(
    config: StudyConfig,
    data_dir: StrPath,
    readers: Mapping[str, Reader],
    *,
    rereads_changed: bool = False,
    note: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Returns the shards of every source that is to be read.

    Args:
      rereads_changed: read sources again whose raw files changed, instead of refusing them.
      note: is told of sources whose raw files are no longer there.

    Raises:
      UserError: names everything that is wrong: corpora that are missing or unreadable; documents
        that are damaged, or were read under other settings or from other files; a tokenizer that
        cannot be used; evaluation sets that are missing, malformed or changed.
    """
    problems, missing = [], {}
    for source, reader in readers.items():
        try:
            documents = _finished(config, data_dir, source, reader, rereads_changed, note)
            if documents is None:
                missing[source] = reader.shards()
        except UserError as error:
            problems.append(f"config.data.sources.{source}: {error}")
            continue
        if documents is not None:
            try:
                check_damaged_share(documents.manifest, reader)
            except UserError as error:
                problems.append(str(error))
    try:
        if has_tokenizer(data_dir):
            current_tokenizer(config, data_dir)
        elif config.data.tokenizer.path is not None:
            load_tokenizer(config.data.tokenizer.path, config.data.tokenizer)
    except UserError as error:
        problems.append(str(error))
    try:
        check_benchmarks(
            config,
            data_dir,
            rereads_changed=rereads_changed,
            selects_again=rereads_changed and bool(missing),
        )
    except UserError as error:
        problems.append(str(error))
    if problems:
        raise UserError("; ".join(problems))
    return missing


def _finished(
    config: StudyConfig,
    data_dir: StrPath,
    source: str,
    reader: Reader,
    rereads_changed: bool,
    note: Callable[[str], None],
) -> SourceDocuments | None:
    """Returns the documents of a source, None if it is to be read."""
    documents = find_study_documents(config, data_dir, source)
    if documents is None:
        return None
    try:
        check_raw_files(documents, reader, note)
    except ChangedFilesError:
        if not rereads_changed:
            raise
        return None
    if not documents.is_whole():
        return None
    documents.check(reads_contents=False)
    return documents
