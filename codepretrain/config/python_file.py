"""Runs an experiment file or a machine file, which are Python programs, for their values."""

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from ml_collections import ConfigDict

from codepretrain.config.arguments import bound_arguments
from codepretrain.config.parse import to_dict
from codepretrain.errors import Interrupted, UserError, described
from codepretrain.files.explain import shown


def to_config_dict(config: Any) -> ConfigDict:
    """Returns a dataclass as a locked `ConfigDict`: what the function of such a file returns.

    Keys keep their order: phases and variants are shown in the order of the file.
    """
    return _in_order(to_dict(config)).lock()


def _in_order(values: Mapping[str, Any]) -> ConfigDict:
    nested = {
        key: _in_order(value) if isinstance(value, Mapping) else value
        for key, value in values.items()
    }
    return ConfigDict(nested, sort_keys=False)


def values_of(
    path: Path, *, function: str, cls: type, what: str, arguments: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Runs a file and returns the values that one of its functions returns, as nested dicts.

    Args:
      function: the function's name.
      cls: the dataclass that it may return instead of a `ConfigDict`.
      what: the kind of file, for messages: "config file".
      arguments: of the function, as the command line spells them; None: it takes none.

    Raises:
      UserError: the file is missing or fails, or does not define the function.
    """
    module = _load_module(path, what)
    get_values = getattr(module, function, None)
    if not callable(get_values):
        raise UserError(f"{shown(path)} does not define {function}()")
    given: dict[str, Any] = {}
    if arguments is None:
        _check_takes_no_arguments(path, function, get_values)
    else:
        given = bound_arguments(path, get_values, arguments)
    values = _run(path, f"{function}() failed", lambda: get_values(**given))
    if isinstance(values, cls):
        values = to_config_dict(values)
    if not isinstance(values, ConfigDict):
        raise UserError(
            f"{shown(path)}: {function}() returned {type(values).__name__}, expected a ConfigDict "
            "(codepretrain.config.load.to_config_dict makes one)"
        )
    # A required placeholder that nobody filled raises here.
    found = _run(path, f"the values of {function}() cannot be read", values.to_dict)
    try:
        return to_dict(found)  # what was added to another study's values may be a dataclass
    except RecursionError:
        return found  # it contains itself, and `parse` says where


def _check_takes_no_arguments(path: Path, name: str, function: Callable[..., Any]) -> None:
    try:
        inspect.signature(function).bind()
    except TypeError as error:
        raise UserError(f"{shown(path)}: {name}() is called without arguments: {error}") from error
    except ValueError:  # a callable whose signature Python does not know
        pass


def _load_module(path: Path, what: str) -> ModuleType:
    if path.is_dir():
        raise UserError(f"{what} {shown(path)} is a folder, expected a Python file")
    if not path.is_file():
        near = sorted(p.name for p in path.parent.glob("*.py")) if path.parent.is_dir() else []
        listing = f"; {path.parent} holds {', '.join(near[:20])}" if near else ""
        raise UserError(f"{what} {shown(path)} does not exist{listing}")
    # An experiment may build on its neighbors: `from experiments import initialization`.
    root = str(path.resolve().parent.parent)
    if root not in sys.path:
        sys.path.insert(0, root)
    name = f"{path.resolve().parent.name}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    loader = spec.loader if spec else None
    if spec is None or loader is None:
        raise UserError(
            f"{what} {shown(path)} is not a Python file (expected a name ending in .py)"
        )
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses and pickle look for it
    _run(path, "cannot be loaded", lambda: loader.exec_module(module))
    return module


def _run(path: Path, failure: str, function: Callable[[], Any]) -> Any:
    """Calls the user's code and returns its result; turns anything it raises into a UserError.

    Raises:
      UserError: it raised anything, `SystemExit` and other kinds of BaseException included; a
        UserError of its own is raised as it is.
      KeyboardInterrupt: the user pressed Ctrl-C, or a signal came.
    """
    try:
        return function()
    except SyntaxError as error:
        where = f"{error.filename}, line {error.lineno}" if error.lineno else shown(path)
        raise UserError(f"{where}: {error.msg}") from error
    except (KeyboardInterrupt, Interrupted, UserError):
        raise
    except BaseException as error:
        line = _line_of(error, path)
        raise UserError(f"{shown(path)}: {failure}{line}: {described(error)}") from error


def _line_of(error: BaseException, path: Path) -> str:
    """Returns " (line N)" for the innermost frame of the error that is in the user's file."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f.lineno for f in frames if Path(f.filename).name == path.name]
    return f" (line {lines[-1]})" if lines else ""
