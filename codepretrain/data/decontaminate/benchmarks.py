"""Reads the evaluation sets that `config.data.decontamination.benchmarks` names.

Each is a JSONL file, plain or compressed, or a glob of such files; an item is a line:

    {"text": "What is the capital of France? Paris", "id": "geography/17"}

Other fields are ignored. The id of an item without one is `<file>:<line number>`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from codepretrain.config.schema import DecontaminationConfig
from codepretrain.data.decontaminate.index import EvaluationText
from codepretrain.data.document import Skipped
from codepretrain.data.readers.raw_files import raw_files
from codepretrain.data.readers.reader import MissingCorpusError, RawFile
from codepretrain.data.readers.records import Record, read_json_lines
from codepretrain.errors import UserError
from codepretrain.files.hashing import sha256_files, sha256_json

_PATH = "config.data.decontamination.benchmarks"


@dataclass(frozen=True)
class Benchmark:
    """An evaluation set. sha256: of the names and contents of its files."""

    texts: tuple[EvaluationText, ...]
    num_files: int
    sha256: str


class MissingBenchmarkError(UserError):
    """No file matches."""


def read_benchmarks(
    config: DecontaminationConfig, *, may_be_missing: bool = False
) -> dict[str, Benchmark]:
    """Returns the evaluation sets by name. They are held in memory.

    Args:
      may_be_missing: leave out those whose files are missing.

    Raises:
      MissingBenchmarkError: no files match; no other problem was found.
      UserError: names every evaluation set whose files are missing or unreadable, or that has a
        line that is no item.
    """
    found: dict[str, Benchmark] = {}
    problems: list[UserError] = []
    for name, pattern in sorted(config.benchmarks.items()):
        try:
            found[name] = _read(name, pattern)
        except MissingBenchmarkError as error:
            if not may_be_missing:
                problems.append(error)
        except UserError as error:
            problems.append(error)
    if problems:
        are_missing = all(isinstance(problem, MissingBenchmarkError) for problem in problems)
        kind = MissingBenchmarkError if are_missing else UserError
        raise kind("; ".join(map(str, problems)))
    return found


def _read(name: str, pattern: str) -> Benchmark:
    path = f"{_PATH}.{name}"
    try:
        files = raw_files(pattern, reader="jsonl")
    except MissingCorpusError:
        raise MissingBenchmarkError(f"{path}: no file matches {pattern!r}") from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    texts = tuple(text for file in files for text in _texts(name, file))
    if not texts:
        raise UserError(f"{path}: {pattern!r} has no items: expected an object per line")
    hashes: Mapping[str, str] = dict(
        zip((file.name for file in files), sha256_files(file.path for file in files), strict=True)
    )
    return Benchmark(texts, len(files), sha256_json(hashes))


def _texts(name: str, file: RawFile) -> Iterator[EvaluationText]:
    path = f"{_PATH}.{name}"
    for record in read_json_lines(file):
        if isinstance(record, Skipped):
            raise UserError(
                f"{path}: {record.origin}: expected a JSON object with a field 'text', found: "
                f"{record.reason}"
            )
        yield EvaluationText(name, _id(record, path), _text(record, path))


def _text(record: Record, path: str) -> str:
    text = record.value.get("text")
    if not isinstance(text, str):
        fields = ", ".join(sorted(record.value))[:200]
        found = f"{text!r:.60}" if "text" in record.value else f"the fields {fields}"
        raise UserError(f"{path}: {record.place}: expected a text in field 'text', found {found}")
    return text


def _id(record: Record, path: str) -> str:
    found = record.value.get("id")
    if found is None:
        return record.name
    if not isinstance(found, (str, int)):
        raise UserError(
            f"{path}: {record.place}: expected a text or a number in field 'id', found "
            f"{found!r:.60}"
        )
    return str(found)
