"""Loads a study: from an experiment file, which is a Python program, or from the JSON of one.

A job keeps the resolved study as `study.json`. Loaded from there it is the same study, with the
same fingerprints.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from codepretrain.config.parse import apply_override, parse, to_dict
from codepretrain.config.python_file import to_config_dict, values_of
from codepretrain.config.replicates import with_replicates
from codepretrain.config.schema import StudyConfig
from codepretrain.config.validate import check
from codepretrain.errors import UserError, quoted
from codepretrain.files import storage

__all__ = ["load_study", "overridden", "to_config_dict"]

T = TypeVar("T")
_ARGUMENTS = "arguments."
_REPLICATES = re.compile(r"--config\.replicates=-?\d{1,9}")


def load_study(path: str | Path, overrides: Sequence[str] = ()) -> StudyConfig:
    """Returns the study that a file describes, overridden and validated.

    Args:
      path: a Python file, of which only `get_config` is called; or the values as a JSON object,
        in a local file or an object store.
      overrides: flags such as `--config.model.num_layers=4`. `--config.replicates=4` is four
        replicates; their seeds are the file's, and others where it has fewer.
        `--config.arguments.NAME=VALUE` is an argument of `get_config` (`config/arguments.py`).

    Raises:
      UserError: the file is missing or fails, has no `get_config`, or its values are wrong.
    """
    given = _split_overrides(overrides, "config")  # also checks that none is given twice
    arguments = {
        name.removeprefix(_ARGUMENTS): text
        for name, text in given.items()
        if name.startswith(_ARGUMENTS)
    }
    values = _values(path, arguments)
    counts = [o for o in overrides if _REPLICATES.fullmatch(o)]
    is_argument = f"--config.{_ARGUMENTS}"
    fields = [o for o in overrides if o not in counts and not o.startswith(is_argument)]
    config = overridden(StudyConfig, values, fields, root="config")
    if counts:
        named = [name.removeprefix("num_replicates.") for name in given]
        config = with_replicates(config, int(given["replicates"]), is_given=named)
    check(config)
    return config


def _values(path: str | Path, arguments: dict[str, str]) -> dict[str, Any]:
    if not str(path).endswith(".json"):
        return values_of(
            Path(path),
            function="get_config",
            cls=StudyConfig,
            what="config file",
            arguments=arguments,
        )
    if arguments:
        raise UserError(
            f"--config.arguments.{next(iter(arguments))}: {path} is a study as values, which takes "
            "no arguments; give its Python file"
        )
    return storage.read_json(storage.parse(path, name="--config"))


def overridden(cls: type[T], values: dict[str, Any], overrides: Sequence[str], *, root: str) -> T:
    """Returns nested values as a `cls`, after overrides such as `--<root>.model.num_layers=4`.

    Raises:
      UserError: names the field that is unknown, missing or wrong; see `config/parse.py`.
    """
    split = _split_overrides(overrides, root)
    nested = to_dict(parse(cls, values, path=root))
    for name, text in split.items():
        apply_override(cls, nested, name.split("."), text, root=root)
    return parse(cls, nested, path=root)


def _split_overrides(overrides: Sequence[str], root: str) -> dict[str, str]:
    """Returns the text of every override by its path, in order.

    Raises:
      UserError: an override has another form, is given twice with different values, or would undo
        an earlier one.
    """
    form = re.compile(rf"--{root}\.([A-Za-z0-9_.]+)=(.*)", re.DOTALL)
    texts: dict[str, str] = {}
    for override in overrides:
        match = form.fullmatch(override)
        if match is None:
            example = {"config": "model.num_layers=4"}.get(root, "machine.num_slices=2")
            raise UserError(f"{quoted(override)}: overrides have the form --{root}.{example}")
        name, text = match[1], match[2]
        if texts.get(name, text) != text:
            raise UserError(
                f"--{root}.{name} is given twice: {quoted(texts[name])} and {quoted(text)}"
            )
        undone = [earlier for earlier in texts if earlier.startswith(f"{name}.")]
        if undone:
            raise UserError(
                f"--{root}.{name} would undo --{root}.{undone[0]}: give it before, or leave out one"
            )
        texts[name] = text
    return texts
