"""Renames a file to keep it, so a new one can replace it."""

import os
from datetime import UTC, datetime

from codepretrain.files.atomic import create
from codepretrain.files.storage import StrPath, read_bytes, remove


def set_aside(path: StrPath) -> str:
    """Renames `ledger.json` to `ledger.until-20260131T120000Z.json`; returns the new path.

    Raises:
      MissingFileError: there is no such file.
      UserError: the folder cannot be written to.
    """
    content = read_bytes(path)
    stem, extension = os.path.splitext(os.fspath(path))
    when = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    number = 1
    while True:
        suffix = "" if number == 1 else f"-{number}"
        target = f"{stem}.until-{when}{suffix}{extension}"
        if create(target, content):
            remove(path)
            return target
        number += 1
