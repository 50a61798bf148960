"""Which raw files a study reads, and which are missing: for `plan`, on any machine.

Lists names only: no file of a corpus is opened, and no package that reads one is needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from codepretrain.config.schema import StudyConfig
from codepretrain.data.readers import make_reader
from codepretrain.data.readers.raw_files import raw_files
from codepretrain.data.readers.reader import RawFile
from codepretrain.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """The raw files of one source. problem: why they cannot be read, None if they are there."""

    source: str
    reader: str
    num_files: int
    problem: str | None


def missing_benchmarks(config: StudyConfig) -> list[str]:
    """Returns a message for each evaluation set of the decontamination without files."""
    problems = []
    for name, pattern in sorted(config.data.decontamination.benchmarks.items()):
        try:
            raw_files(pattern, reader="jsonl")
        except UserError:
            path = f"config.data.decontamination.benchmarks.{name}"
            problems.append(f"{path}: no file matches {pattern!r}")
    return problems


def find_corpora(config: StudyConfig) -> list[Corpus]:
    """Returns what there is of each source, in the order of the config.

    Raises:
      UserError: an unknown reader or option.
    """
    readers = {name: make_reader(name, chosen) for name, chosen in config.data.sources.items()}
    corpora = []
    for source, reader in readers.items():
        files: Sequence[RawFile] = ()
        problem = None
        try:
            files = reader.list_files()
        except UserError as error:
            problem = str(error)
        corpora.append(
            Corpus(
                source=source,
                reader=config.data.sources[source].reader,
                num_files=len(files),
                problem=problem,
            )
        )
    return corpora
