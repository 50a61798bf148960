"""JSON files that contain their own hash, so an altered file is detected on opening.

    {"format": 1, "rows": 120, …, "sha256": "5f3a…"}      sha256: of everything else

The hash is returned too: code that depends on the file records it and passes it as `expected`,
which also detects a different sealed file in its place.
"""

from collections.abc import Mapping
from typing import Any

from codepretrain.errors import DamageError
from codepretrain.files.atomic import write_json
from codepretrain.files.explain import shown
from codepretrain.files.hashing import sha256_json
from codepretrain.files.json_values import plain, restore
from codepretrain.files.storage import StrPath, read_json

_SEAL = "sha256"


def write_sealed(path: StrPath, contents: Mapping[str, Any]) -> str:
    """Replaces `path` by `contents` with their hash, and returns the hash."""
    sealed = seal(contents)
    write_json(path, sealed)
    return sealed[_SEAL]


def seal(contents: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `contents` as JSON values, with their hash under "sha256"."""
    assert _SEAL not in contents, f"{_SEAL!r} is the key of the seal"
    values = plain(contents)
    return {**values, _SEAL: sha256_json(values)}


def read_sealed(
    path: StrPath, *, remedy: str = "restore or delete the file"
) -> tuple[dict[str, Any], str]:
    """Returns the contents of a sealed file and their hash.

    Args:
      remedy: the fix for a damaged file, for the message.

    Raises:
      MissingFileError: there is no such file.
      UserError: it is not a JSON object, or was altered.
    """
    values = read_json(path, remedy=remedy)
    found = values.pop(_SEAL, None)
    try:
        computed = sha256_json(values)
    except ValueError:  # NaN or Infinity, which Python reads and JSON lacks
        computed = None
    if found is None or computed is None or found != computed:
        what = "has no seal" if found is None else "was altered: its contents do not match its seal"
        raise DamageError(f"{shown(path)} {what}; {remedy}")
    return restore(values), computed
