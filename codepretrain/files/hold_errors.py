"""Errors of a folder's hold: another process has it, or has taken it over."""

from codepretrain.errors import PassingError
from codepretrain.files.explain import shown
from codepretrain.files.storage import StrPath


class LeaseLostError(PassingError):
    """Another process has taken, or may have taken, the hold of a folder."""


class InUseError(PassingError):
    """Another process holds the folder."""


def in_use(folder: StrPath, holder: str) -> InUseError:
    """Returns the error that says who holds a folder."""
    return InUseError(f"{shown(folder)} is in use by {holder}: wait for it to end, or stop it")
