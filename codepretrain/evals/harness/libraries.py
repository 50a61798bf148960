"""The packages of the extra `eval`: whether they are installed, and how they are imported."""

import contextlib
import importlib
import logging
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from codepretrain.errors import UserError

PACKAGES = ("lm_eval", "datasets", "tokenizers")


def require(*packages: str, reader: str) -> None:
    """Raises UserError if one of the packages is not installed; imports none.

    Args:
      reader: who needs them, for the message.
    """
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        listed = ", ".join(f"`{package}`" for package in missing)
        raise UserError(
            f"{reader} needs {listed}: not installed; run `pip install 'codepretrain[eval]'`"
        )


def harness_version() -> str:
    """Returns the version of lm-evaluation-harness."""
    return version("lm_eval")


def load(name: str) -> ModuleType:
    """Imports a module of the harness or of `datasets`, with their progress bars turned off."""
    with quiet():
        module = importlib.import_module(name)
        datasets: Any = importlib.import_module("datasets")
        datasets.disable_progress_bars()
    return module


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silences what the libraries log and warn of; their errors are exceptions.

    The harness warns of every default that a task leaves open, and its dependencies warn of each
    other's deprecations.
    """
    loggers = [logging.getLogger(name) for name in ("lm_eval", "datasets", "httpx", "filelock")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def offline() -> Iterator[None]:
    """Has `datasets` and its download library refuse every request within the block."""
    config: Any = importlib.import_module("datasets.config")
    constants: Any = importlib.import_module("huggingface_hub.constants")
    places = [(config, "HF_HUB_OFFLINE"), (constants, "HF_HUB_OFFLINE")]
    before = [getattr(module, name) for module, name in places]
    for module, name in places:
        setattr(module, name, True)
    try:
        yield
    finally:
        for (module, name), value in zip(places, before, strict=True):
            setattr(module, name, value)
