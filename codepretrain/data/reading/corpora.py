"""Which raw files a study reads, and which are missing: for `plan`, on any machine.

Lists names only: no file of a corpus is opened, and no package that reads one is needed.
"""

from dataclasses import dataclass

from codepretrain.config.schema import StudyConfig
from codepretrain.data.readers import make_reader
from codepretrain.data.readers.raw_files import raw_files
from codepretrain.data.readers.reader import MissingCorpusError
from codepretrain.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """The raw files of one source. problem: why they cannot be read, None if they are there."""

    source: str
    num_files: int
    problem: str | None


def missing_benchmarks(config: StudyConfig) -> list[str]:
    """Returns a message for each evaluation set whose files are missing or unreadable."""
    problems = []
    for name, pattern in sorted(config.data.decontamination.benchmarks.items()):
        path = f"config.data.decontamination.benchmarks.{name}"
        try:
            raw_files(pattern, reader="jsonl")
        except MissingCorpusError:
            problems.append(f"{path}: no file matches {pattern!r}")
        except UserError as error:
            problems.append(f"{path}: {error}")
    return problems


def find_corpora(config: StudyConfig) -> list[Corpus]:
    """Returns what there is of each source, in the order of the config.

    Raises:
      UserError: an unknown reader or option.
    """
    readers = {name: make_reader(name, chosen) for name, chosen in config.data.sources.items()}
    corpora = []
    for source, reader in readers.items():
        num_files, problem = 0, None
        try:
            num_files = len(reader.list_files())
        except UserError as error:
            problem = str(error)
        corpora.append(Corpus(source=source, num_files=num_files, problem=problem))
    return corpora
