"""Loads an experiment file, which is a Python program, into a validated `StudyConfig`."""

import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from ml_collections import ConfigDict

from codepretrain.config.parse import apply_override, parse, to_dict
from codepretrain.config.schema import StudyConfig
from codepretrain.config.validate import check
from codepretrain.errors import Interrupted, UserError, described, quoted
from codepretrain.files.explain import shown

_OVERRIDE = re.compile(r"--config\.([A-Za-z0-9_.]+)=(.*)", re.DOTALL)


def to_config_dict(config: StudyConfig) -> ConfigDict:
    """Returns the study as a locked `ConfigDict`, which is what `get_config()` returns."""
    return ConfigDict(to_dict(config)).lock()


def load_study(path: str | Path, overrides: Sequence[str] = ()) -> StudyConfig:
    """Returns the study that `path`'s `get_config()` describes, overridden and validated.

    Args:
      path: a Python file; only its `get_config()` is called.
      overrides: flags such as `--config.model.num_layers=4`.

    Raises:
      UserError: the file is missing or fails, has no `get_config`, or its values are wrong.
    """
    split = _split_overrides(overrides)
    nested = to_dict(parse(StudyConfig, _values(Path(path))))
    for name, text in split.items():
        apply_override(StudyConfig, nested, name.split("."), text)
    config = parse(StudyConfig, nested)
    check(config)
    return config


def _split_overrides(overrides: Sequence[str]) -> dict[str, str]:
    """Returns the text of every override by its path, in order.

    Raises:
      UserError: an override has another form, is given twice with different values, or would undo
        an earlier one.
    """
    texts: dict[str, str] = {}
    for override in overrides:
        match = _OVERRIDE.fullmatch(override)
        if match is None:
            raise UserError(
                f"{quoted(override)}: overrides have the form --config.model.num_layers=4"
            )
        name, text = match[1], match[2]
        if texts.get(name, text) != text:
            raise UserError(
                f"--config.{name} is given twice: {quoted(texts[name])} and {quoted(text)}"
            )
        undone = [earlier for earlier in texts if earlier.startswith(f"{name}.")]
        if undone:
            raise UserError(
                f"--config.{name} would undo --config.{undone[0]}: give it before, or leave out one"
            )
        texts[name] = text
    return texts


def _values(path: Path) -> dict[str, Any]:
    """Runs an experiment file and returns the values of its `get_config()`."""
    module = _load_module(path)
    get_config = getattr(module, "get_config", None)
    if not callable(get_config):
        raise UserError(f"{shown(path)} does not define get_config()")
    _check_takes_no_arguments(path, get_config)
    values = _run(path, "get_config() failed", get_config)
    if isinstance(values, StudyConfig):
        values = to_config_dict(values)
    if not isinstance(values, ConfigDict):
        raise UserError(
            f"{shown(path)}: get_config() returned {type(values).__name__}, expected a ConfigDict "
            "(codepretrain.config.load.to_config_dict makes one)"
        )
    # A required placeholder that nobody filled raises here.
    return _run(path, "the values of get_config() cannot be read", values.to_dict)


def _check_takes_no_arguments(path: Path, get_config: Callable[..., Any]) -> None:
    try:
        inspect.signature(get_config).bind()
    except TypeError as error:
        raise UserError(
            f"{shown(path)}: get_config() is called without arguments: {error}"
        ) from error
    except ValueError:  # a callable whose signature Python does not know
        pass


def _load_module(path: Path) -> ModuleType:
    if path.is_dir():
        raise UserError(f"config file {shown(path)} is a folder, expected a Python file")
    if not path.is_file():
        near = sorted(p.name for p in path.parent.glob("*.py")) if path.parent.is_dir() else []
        listing = f"; {path.parent} holds {', '.join(near[:20])}" if near else ""
        raise UserError(f"config file {shown(path)} does not exist{listing}")
    # An experiment may build on its neighbors: `from experiments import initialization`.
    root = str(path.resolve().parent.parent)
    if root not in sys.path:
        sys.path.insert(0, root)
    name = f"experiments_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    loader = spec.loader if spec else None
    if spec is None or loader is None:
        raise UserError(
            f"config file {shown(path)} is not a Python file (expected a name ending in .py)"
        )
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses and pickle look for it
    _run(path, "cannot be loaded", lambda: loader.exec_module(module))
    return module


def _run(path: Path, failure: str, function: Callable[[], Any]) -> Any:
    """Calls the user's code and returns its result; turns anything it raises into a UserError.

    Raises:
      UserError: it raised anything, `SystemExit` and other kinds of BaseException included.
      KeyboardInterrupt: the user pressed Ctrl-C, or a signal came.
    """
    try:
        return function()
    except SyntaxError as error:
        where = f"{error.filename}, line {error.lineno}" if error.lineno else shown(path)
        raise UserError(f"{where}: {error.msg}") from error
    except (KeyboardInterrupt, Interrupted):
        raise
    except BaseException as error:
        line = _line_of(error, path)
        raise UserError(f"{shown(path)}: {failure}{line}: {described(error)}") from error


def _line_of(error: BaseException, path: Path) -> str:
    """Returns " (line N)" for the innermost frame of the error that is in the user's file."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f.lineno for f in frames if Path(f.filename).name == path.name]
    return f" (line {lines[-1]})" if lines else ""
