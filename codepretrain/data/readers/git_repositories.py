"""Repositories that paths and globs match, and the names that their copies share."""

import glob
import os
from collections.abc import Iterable
from dataclasses import dataclass

from codepretrain.data.readers.git_objects import git_directory, git_output
from codepretrain.data.readers.groups import repository_group
from codepretrain.data.readers.raw_files import file_name, fixed_folder
from codepretrain.data.readers.reader import MissingCorpusError
from codepretrain.errors import UserError
from codepretrain.files.storage import is_local


@dataclass(frozen=True)
class Repository:
    """`name` is relative to the folder in which the glob's wildcards begin."""

    path: str
    name: str
    groups: tuple[str, ...]


def matching(given: str) -> list[tuple[str, str, str]]:
    """Returns path, git directory and name of the repositories that a glob matches, by path.

    A path to a repository is that repository, whatever brackets its name contains.

    Raises:
      UserError: it is no local path.
      MissingCorpusError: there is none.
    """
    if not is_local(given):
        raise UserError(
            f"reader 'git': path: expected a local folder, found {given!r}: clone it first"
        )
    pattern = os.path.expanduser(given).rstrip("/")
    whole = os.path.abspath(pattern)
    is_path = git_directory(pattern) is not None
    folder = os.path.dirname(whole) if is_path else fixed_folder(whole)
    found = [
        (path, directory, file_name(os.path.relpath(os.path.abspath(path), folder)))
        for path in ([pattern] if is_path else sorted(glob.glob(pattern)))
        if (directory := git_directory(path)) is not None
    ]
    if not found:
        why = _why_none(whole)
        raise MissingCorpusError(f"reader 'git': no git repository matches path {given!r}{why}")
    return found


def _why_none(pattern: str) -> str:
    """Returns what a path is instead of a repository; nothing for a glob."""
    if not os.path.exists(pattern):
        return "" if glob.has_magic(pattern) else ": it does not exist"
    if not os.path.isdir(pattern):
        return ": it is a file"
    above = pattern
    while (above := os.path.dirname(above)) != os.path.dirname(above):
        if git_directory(above) is not None:
            return f": it is a folder of the repository {above}"
    return ": it is a folder without .git"


def copy_groups(path: str, directory: str, revision: str) -> tuple[str, ...]:
    """Returns the names that copies of a repository share: its address, its first commit."""
    root = first_commit(directory, revision)
    groups = [address_group(directory), repository_group(f"root://{root}") if root else None]
    folder = f"folder://{os.path.basename(os.path.abspath(path))}"
    return tuple(filter(None, groups)) or (repository_group(folder),)


def address_group(directory: str) -> str | None:
    """Returns the group of the address that a repository was cloned from, None if it has none."""
    remote = git_output(directory, ["config", "--get", "remote.origin.url"]) or ""
    is_local_path = remote.startswith(("/", ".", "~", "file:"))
    return repository_group(remote) if ":" in remote and not is_local_path else None


def first_commit(directory: str, revision: str = "HEAD") -> str | None:
    """Returns the id of the first commit before a revision; reads the whole history."""
    return git_output(directory, ["rev-list", "--max-parents=0", "--reverse", revision, "--"])


def has_commit(directory: str, commits: Iterable[str]) -> bool:
    """Returns whether a repository has one of some commits, given by their ids."""
    look_up = ["rev-list", "--no-walk", "--ignore-missing", *commits, "--"]
    return git_output(directory, look_up) is not None
