"""Compares files of a whole directory with the hashes in its list."""

from collections.abc import Iterable, Mapping

from etils import epath

from codepretrain.errors import UserError
from codepretrain.files.hashing import sha256_files
from codepretrain.files.storage import StrPath


def check_contents(
    directory: StrPath, hashes: Mapping[str, str], names: Iterable[str], *, remedy: str
) -> None:
    """Compares the contents of some files with their hash.

    Args:
      hashes: SHA-256 by name, as `check_directory` returned them.
      names: the files to read.
      remedy: the fix for damage, for the message.

    Raises:
      UserError: names each file that was altered, or that the directory's list lacks.
    """
    problems = []
    listed = []
    for name in names:
        if name in hashes:
            listed.append(name)
        else:
            problems.append(f"{name} is missing from files.json")
    found = sha256_files(epath.Path(directory) / name for name in listed)
    for name, sha256 in zip(listed, found, strict=True):
        if sha256 != hashes[name]:
            problems.append(f"{name} was altered: its sha256 differs")
    if problems:
        raise UserError(f"damaged {directory}: {'; '.join(problems)}; {remedy}")
