"""The ml_collections edge: experiment files in, validated `StudyConfig` out."""

import importlib.util
import re
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from ml_collections import ConfigDict

from codepretrain.config.parse import apply_override, parse, to_dict
from codepretrain.config.schema import StudyConfig
from codepretrain.config.validate import check
from codepretrain.errors import UserError

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
      UserError: the file is missing or fails, has no `get_config`, or its values do not fit.
    """
    module = _load_module(Path(path))
    get_config = getattr(module, "get_config", None)
    if not callable(get_config):
        raise UserError(f"{path} does not define get_config()")
    try:
        values = get_config()
    except Exception as error:
        raise UserError(f"{path}: get_config() failed{_where(error, path)}: {error!r}") from error
    if isinstance(values, StudyConfig):
        values = to_config_dict(values)
    if not isinstance(values, ConfigDict):
        raise UserError(
            f"{path}: get_config() returned {type(values).__name__}, expected a ConfigDict "
            "(codepretrain.config.load.to_config_dict makes one)"
        )
    nested = to_dict(parse(StudyConfig, values.to_dict()))
    for override in overrides:
        match = _OVERRIDE.fullmatch(override)
        if match is None:
            raise UserError(f"{override!r}: overrides look like --config.model.num_layers=4")
        apply_override(StudyConfig, nested, match[1].split("."), match[2])
    config = parse(StudyConfig, nested)
    check(config)
    return config


def _load_module(path: Path) -> ModuleType:
    if not path.is_file():
        near = sorted(p.name for p in path.parent.glob("*.py")) if path.parent.is_dir() else []
        listing = f"; {path.parent} holds {', '.join(near)}" if near else ""
        raise UserError(f"config file {path} does not exist{listing}")
    # An experiment may build on its neighbors: `from experiments import initialization`.
    root = str(path.resolve().parent.parent)
    if root not in sys.path:
        sys.path.insert(0, root)
    spec = importlib.util.spec_from_file_location(f"experiments_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UserError(f"config file {path} is not a Python file (expected a name ending in .py)")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise UserError(f"{error.filename}, line {error.lineno}: {error.msg}") from error
    except Exception as error:
        raise UserError(f"{path} cannot be loaded{_where(error, path)}: {error!r}") from error
    return module


def _where(error: Exception, path: str | Path) -> str:
    """Returns " (line N)" for the innermost frame of the error that lies in the user's file."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f.lineno for f in frames if Path(f.filename).name == Path(path).name]
    return f" (line {lines[-1]})" if lines else ""
