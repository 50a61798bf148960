"""Arguments of an experiment file's `get_config`: `--config.arguments.NAME=VALUE`.

They are for what a study is computed from, such as the repositories whose size decides the budgets.
Fields of the resulting study are overridden as ever.
"""

import inspect
import typing
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from codepretrain.config.parse import spelled_value, suggestion
from codepretrain.errors import UserError
from codepretrain.files.explain import shown

ROOT = "config.arguments"


def bound_arguments(
    path: Path, function: Callable[..., Any], texts: Mapping[str, str]
) -> dict[str, Any]:
    """Returns the arguments by name, each of its parameter's annotated type.

    Args:
      path: of the file that defines the function, for messages.
      texts: what the command line spells, by name.

    Raises:
      UserError: there is no such parameter, a value is of another type, or one is missing.
    """
    parameters: Mapping[str, inspect.Parameter] = {}
    with suppress(ValueError):  # of a callable whose signature Python does not know
        parameters = inspect.signature(function).parameters
    where = f"{function.__name__ if hasattr(function, '__name__') else 'function'}()"
    keywords = {
        name: one
        for name, one in parameters.items()
        if one.kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    }
    for name in texts:
        if name not in keywords:
            near = suggestion(name, list(keywords)) or "; it takes none"
            raise UserError(f"{ROOT}.{name}: {where} of {shown(path)} has no such argument{near}")
    for name, one in parameters.items():
        is_variadic = one.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        if one.default is inspect.Parameter.empty and name not in texts and not is_variadic:
            raise UserError(f"{where} of {shown(path)} needs an argument: give --{ROOT}.{name}=…")
    hints = typing.get_type_hints(function) if texts else {}
    return {
        name: spelled_value(hints.get(name, str), text, f"{ROOT}.{name}")
        for name, text in texts.items()
    }
