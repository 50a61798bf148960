"""Readers by name. A reader turns raw files into documents."""

from codepretrain.config.parse import parse, suggestion
from codepretrain.config.schema import SourceConfig
from codepretrain.data.readers.commits import Commits
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
    if not 0 <= reader.max_damaged_share <= 1:
        raise UserError(
            f"{path}.options.max_damaged_share: expected a share from 0 to 1, found "
            f"{reader.max_damaged_share}"
        )
    return reader
