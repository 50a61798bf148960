"""Compares the raw files of today with those that a study's data was made from.

Imports no tokenizer or TensorFlow: `run` calls it in the process that trains.
"""

from collections.abc import Callable

from codepretrain.config.schema import StudyConfig
from codepretrain.data.readers import make_reader
from codepretrain.data.readers.reader import MissingCorpusError, Reader
from codepretrain.data.reading.documents import SourceDocuments, find_documents
from codepretrain.data.reading.inventory import check_inventory
from codepretrain.data.selection.check import check_benchmarks
from codepretrain.data.selection.selected import has_selection
from codepretrain.errors import UserError
from codepretrain.files.storage import StrPath

Note = Callable[[str], None]


def check_all_raw_files(config: StudyConfig, data_dir: StrPath, note: Note) -> None:
    """Compares the raw files and evaluation sets that the study's data was made from.

    Raises:
      UserError: names the sources that changed and the first file of each, and the evaluation sets
        that changed.
    """
    problems = []
    for source, chosen in sorted(config.data.sources.items()):
        documents = find_documents(data_dir, source)
        if documents is None:
            continue
        try:
            check_raw_files(documents, make_reader(source, chosen), note)
        except UserError as error:
            problems.append(f"config.data.sources.{source}: {error}")
    if has_selection(data_dir):
        try:
            check_benchmarks(config, data_dir, rereads_changed=False)
        except UserError as error:
            problems.append(str(error))
    if problems:
        raise UserError("; ".join(problems))


def check_raw_files(documents: SourceDocuments, reader: Reader, note: Note) -> None:
    """Compares a source's raw files with those that its documents were read from.

    A corpus that is not there at all is only noted: prepared data may be used without it.

    Raises:
      ChangedFilesError: names the first file that differs.
    """
    inventory = documents.inventory()
    try:
        files = reader.all_files()
    except MissingCorpusError as error:
        note(
            f"config.data.sources.{documents.source}: cannot compare the raw files with those that "
            f"were read: {error}; using the documents in {documents.folder}"
        )
        return
    check_inventory(
        inventory,
        files,
        folder=documents.folder,
        was_capped=documents.manifest.was_capped,
    )
