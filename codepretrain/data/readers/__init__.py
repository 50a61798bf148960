"""Readers by name. A reader turns raw files into documents."""

from codepretrain.config.parse import parse, suggestion
from codepretrain.config.schema import SourceConfig
from codepretrain.data.readers.commits import Commits
from codepretrain.data.readers.controlled import Controlled
from codepretrain.data.readers.folder import Folder
from codepretrain.data.readers.git import Git
from codepretrain.data.readers.instruct import Instruct
from codepretrain.data.readers.issues import Issues
from codepretrain.data.readers.json_lines import JsonLines
from codepretrain.data.readers.notebooks import Notebooks
from codepretrain.data.readers.python_code import PythonCode
from codepretrain.data.readers.python_prose import PythonProse
from codepretrain.data.readers.reader import Reader
from codepretrain.data.readers.slimpajama import SlimPajama
from codepretrain.data.readers.stackexchange import StackExchange
from codepretrain.data.readers.synthetic_code import SyntheticCode
from codepretrain.data.readers.text_records import TextRecords
from codepretrain.data.readers.the_stack import TheStack
from codepretrain.errors import UserError

READERS: dict[str, type[Reader]] = {
    "commits": Commits,
    "controlled": Controlled,
    "folder": Folder,
    "git": Git,
    "instruct": Instruct,
    "issues": Issues,
    "jsonl": JsonLines,
    "notebooks": Notebooks,
    "records": TextRecords,
    "slimpajama": SlimPajama,
    "stackexchange": StackExchange,
    "the_stack": TheStack,
    "python_code": PythonCode,
    "python_prose": PythonProse,
    "synthetic_code": SyntheticCode,
}

# The least value of options that are limits, of all readers that have them.
_LEAST = {
    "max_bytes": 1,
    "min_document_bytes": 0,
    "max_document_bytes": 1,
    "max_files_per_commit": 1,
}


def make_reader(source: str, config: SourceConfig) -> Reader:
    """Returns the source's reader with its options.

    Raises:
      UserError: no such reader, an unknown or missing option, or one of the wrong type or range.
    """
    path = f"config.data.sources.{source}"
    if config.reader not in READERS:
        near = suggestion(config.reader, list(READERS))
        raise UserError(f"{path}.reader: no reader named {config.reader!r}{near}")
    reader = parse(READERS[config.reader], dict(config.options), path=f"{path}.options")
    _check_limits(reader, f"{path}.options")
    return reader


def _check_limits(reader: Reader, path: str) -> None:
    """Raises UserError for limits with which no document could be read."""
    if not 0 <= reader.max_damaged_share <= 1:
        raise UserError(
            f"{path}.max_damaged_share: expected a share from 0 to 1, found "
            f"{reader.max_damaged_share}"
        )
    for name, least in _LEAST.items():
        found = getattr(reader, name, None)
        if found is not None and found < least:
            raise UserError(
                f"{path}.{name}: expected a whole number, at least {least}, found {found}"
            )
    smallest, largest = reader.min_document_bytes, reader.max_document_bytes
    if largest is not None and smallest > largest:
        raise UserError(
            f"{path}.min_document_bytes: expected at most max_document_bytes, {largest:,}, found "
            f"{smallest:,}"
        )
