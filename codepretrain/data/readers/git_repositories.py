"""Repositories that paths and globs match, and the names that their copies share."""

import glob
import os
from dataclasses import dataclass

from codepretrain.data.readers.git_objects import git_directory, git_output
from codepretrain.data.readers.groups import repository_group
from codepretrain.data.readers.raw_files import file_name, fixed_folder
from codepretrain.data.readers.reader import MissingCorpusError


@dataclass(frozen=True)
class Repository:
    """`name` is relative to the folder in which the glob's wildcards begin."""

    path: str
    name: str
    groups: tuple[str, ...]


def matching(given: str) -> list[tuple[str, str, str]]:
    """Returns path, git directory and name of the repositories that a glob matches, by path.

    Raises:
      MissingCorpusError: there is none.
    """
    pattern = os.path.expanduser(given).rstrip("/")
    folder = fixed_folder(os.path.abspath(pattern))
    found = [
        (path, directory, file_name(os.path.relpath(os.path.abspath(path), folder)))
        for path in sorted(glob.glob(pattern))
        if (directory := git_directory(path)) is not None
    ]
    if not found:
        raise MissingCorpusError(f"reader 'git': no git repository matches path {given!r}")
    return found


def copy_groups(path: str, directory: str, revision: str) -> tuple[str, ...]:
    """Returns the names that copies of a repository share: its address, its first commit."""
    names = []
    remote = git_output(directory, ["config", "--get", "remote.origin.url"]) or ""
    is_local_path = remote.startswith(("/", ".", "~", "file:"))
    if ":" in remote and not is_local_path:
        names.append(remote)
    roots = ["rev-list", "--max-parents=0", "--reverse", revision, "--"]
    if root := git_output(directory, roots):
        names.append(f"root://{root}")
    folder = f"folder://{os.path.basename(os.path.abspath(path))}"
    return tuple(repository_group(name) for name in names or [folder])
