"""Reads the folders that `prepare` writes: documents, rows and items.

Each has a sealed manifest and a list of its files with their sizes and hashes.
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from etils import epath

from codepretrain.config.parse import parse
from codepretrain.errors import DamageError, UserError
from codepretrain.files.directory import check_directory, is_whole
from codepretrain.files.hashing import sha256_files
from codepretrain.files.sealed import read_sealed
from codepretrain.files.storage import StrPath

MANIFEST = "manifest.json"
Manifest = TypeVar("Manifest")


def folder_remedy(directory: StrPath) -> str:
    """Returns the fix for a damaged folder, for messages."""
    return f"delete {directory} and run `codepretrain prepare` again"


def check_folder(directory: StrPath, what: str, *, reads_contents: bool) -> Mapping[str, str]:
    """Compares a folder with its list, and returns the SHA-256 of every file by name.

    Args:
      what: is in the folder ("documents"), for the message.
      reads_contents: compare the hashes of all bytes, not only names and sizes.

    Raises:
      UserError: it was not prepared; or names each file that is missing, truncated or altered.
    """
    if not is_whole(directory):
        raise UserError(f"no {what} at {directory}: run `codepretrain prepare` first")
    remedy = folder_remedy(directory)
    return check_directory(directory, reads_contents=reads_contents, remedy=remedy)


def read_manifest(
    kind: type[Manifest], directory: StrPath, what: str, *, version: int, others: Iterable[str] = ()
) -> tuple[Manifest, Mapping[str, str]]:
    """Returns a folder's manifest, and the SHA-256 of every file by name; contents are compared.

    Args:
      what: is in the folder, see `check_folder`.
      others: further files whose contents are compared.

    Raises:
      UserError: as `check_folder`; or the manifest or one of the others is damaged, or the manifest
        has another format version, fields or types.
    """
    hashes, remedy = check_folder(directory, what, reads_contents=False), folder_remedy(directory)
    check_contents(directory, hashes, [MANIFEST, *others], remedy=remedy)
    path = epath.Path(directory) / MANIFEST
    value, _ = read_sealed(path, remedy=remedy)
    return parse_manifest(kind, value, version=version, path=path, remedy=remedy), hashes


def parse_manifest(
    kind: type[Manifest], value: Mapping[str, Any], *, version: int, path: StrPath, remedy: str
) -> Manifest:
    """Returns the manifest of a JSON object. Raises UserError as `read_manifest`."""
    if value.get("format_version") != version:
        raise UserError(
            f"{path} has format {value.get('format_version')!r}, this version reads {version}; "
            f"{remedy}"
        )
    try:
        return parse(kind, value, path=str(path))
    except UserError as error:
        raise UserError(f"{error}; {remedy}") from error


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
        raise DamageError(f"damaged {directory}: {'; '.join(problems)}; {remedy}")
