"""Error messages for a checkpoint that cannot be written, here or at all."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from etils import epath

from codepretrain.errors import PassingError, UserError
from codepretrain.files.explain import is_lasting, shown
from codepretrain.files.storage import StrPath

_FULL = (errno.ENOSPC, errno.EDQUOT)
_PATTERN = re.compile(r"[\[\]\\]")
_S3 = re.compile(r"s3[an]?:/", re.IGNORECASE)


def check_address(workdir: StrPath, *, name: str) -> None:
    """Raises UserError if Orbax cannot store arrays in a working directory.

    For `s3://` Orbax 0.12.8 opens TensorStore's driver of local files: a part of the arrays goes to
    a folder `s3:` of the current directory before it fails.

    Args:
      workdir: as the user wrote it, with mistakes such as `s3:/bucket`.
      name: the flag that gave it.
    """
    if _S3.match(os.fspath(workdir)):
        raise UserError(
            f"{name} {shown(workdir)}: Orbax cannot store checkpoints on s3://; give "
            "gs://BUCKET/FOLDER, a local folder, or a folder of a mounted network file system"
        )


def check_names(workdir: epath.Path, *, name: str) -> None:
    """Raises UserError if Orbax cannot read checkpoints below a working directory.

    Orbax 0.12.8 takes brackets and backslashes of a local path for a pattern when it looks for the
    files to index. It finds none and goes on, so the checkpoint could never be read.

    Args:
      workdir: the absolute path.
      name: the flag that gave it.
    """
    if found := _PATTERN.search(os.fspath(workdir)):
        raise UserError(
            f"{name} {shown(workdir)}: Orbax cannot read checkpoints below a folder with "
            f"{found[0]!r} in its name; rename the folder, or give another one"
        )


@contextmanager
def explained_save(folder: StrPath) -> Iterator[None]:
    """Turns storage errors into a UserError; adds a note to other exceptions."""
    try:
        yield
    except Exception as error:
        if is_full(error):
            raise UserError(
                f"no space left for the checkpoint {folder}: the checkpoints before it are whole; "
                "free some space and rerun the same command to resume"
            ) from error
        if isinstance(error, UserError):
            raise
        if isinstance(error, OSError):
            kind = UserError if is_lasting(error) else PassingError
            raise kind(
                f"the checkpoint {folder} cannot be written: {error.strerror or error}"
            ) from error
        error.add_note(f"while saving the checkpoint {folder}")
        raise


def is_full(error: BaseException | None) -> bool:
    """Returns whether a full disk or quota caused the error; TensorStore says so in words."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        if any(os.strerror(code) in str(error) for code in _FULL):
            return True
        error = error.__cause__ or error.__context__
    return False
