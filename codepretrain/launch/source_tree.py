"""Copies the source of the running package out of a git checkout, with its changes as a diff.

The copy holds what is in the working tree, files that git does not know yet included and ignored
ones not. It and the diff are made from one temporary index, so they agree; the checkout and its
repository are not written to.
"""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from codepretrain.errors import UserError, one_line
from codepretrain.files import storage
from codepretrain.files.atomic import write_bytes
from codepretrain.files.storage import read_bytes

# What a wheel is built from, and the lock.
PATHS = ("codepretrain", "setup.py", "pyproject.toml", "README.md", "LICENSE", "requirements.lock")
# Whatever the user's settings say, so that `git apply` takes it.
_PLAIN = ("--no-color", "--no-ext-diff", "--no-textconv", "--src-prefix=a/", "--dst-prefix=b/")
_NOT_COPIED = ("__pycache__", ".pyc")


@dataclass(frozen=True, kw_only=True)
class SourceTree:
    """A copy of the source. commit: None outside git. diff: the changes since, empty for none."""

    folder: Path
    commit: str | None = None
    diff: bytes = b""


def checkout_of(package: Path) -> Path | None:
    """Returns the folder with `setup.py` that the package lies in, None if it is installed."""
    return package.parent if storage.is_file(package.parent / "setup.py") else None


def copy_source(checkout: Path, scratch: Path) -> SourceTree:
    """Copies the source of a checkout to a new folder in `scratch`.

    Raises:
      UserError: git fails.
    """
    folder = scratch / "source"
    # Ends with 1 where a repository merely contains the folder, as an ignored one.
    arguments = ["ls-files", "--error-unmatch", "--", "setup.py"]
    known = _run_git(checkout, arguments, {})
    if known.returncode > 1 and storage.exists(checkout / ".git"):
        _git(checkout, arguments)  # raises: what git refuses to read is no plain folder
    if known.returncode:
        for path in _files(checkout):
            write_bytes(folder / path, read_bytes(checkout / path))
        return SourceTree(folder=folder)
    objects = _git(checkout, ["rev-parse", "--path-format=absolute", "--git-path", "objects"])
    index = {
        "GIT_INDEX_FILE": str(scratch / "index"),
        "GIT_OBJECT_DIRECTORY": str(scratch / "objects"),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": objects.decode().strip(),
    }
    storage.make_folder(scratch / "objects")
    _git(checkout, ["read-tree", "HEAD"], index)
    tracked = set(_git(checkout, ["ls-files", "--", *PATHS], index).decode().split("\n"))
    present = [
        path
        for path in PATHS
        if storage.exists(checkout / path) or path in tracked or path == "codepretrain"
    ]
    _git(checkout, ["add", "--all", "--", *present], index)
    diff = _git(checkout, ["diff", *_PLAIN, "--cached", "--binary", "HEAD", "--", *PATHS], index)
    names = _git(checkout, ["ls-files", "-z", "--", *PATHS], index)
    _git(checkout, ["checkout-index", "-z", "--stdin", f"--prefix={folder}/"], index, stdin=names)
    commit = _git(checkout, ["rev-parse", "HEAD"]).decode().strip()
    return SourceTree(folder=folder, commit=commit, diff=diff)


def _files(checkout: Path) -> list[str]:
    """Returns the files below `PATHS`, relative to the checkout."""
    found = [path for path in PATHS if storage.is_file(checkout / path)]
    below = [f"codepretrain/{name}" for name in storage.sizes_below(checkout / "codepretrain")]
    return sorted([*found, *(n for n in below if not any(part in n for part in _NOT_COPIED))])


def _git(
    folder: Path,
    arguments: Sequence[str],
    variables: Mapping[str, str] | None = None,
    *,
    stdin: bytes = b"",
) -> bytes:
    """Returns what git prints. Raises UserError if it fails."""
    done = _run_git(folder, arguments, variables or {}, stdin)
    if done.returncode:
        reason = one_line(done.stderr.decode(errors="replace"))
        raise UserError(f"git {arguments[0]} failed in {folder}: {reason}")
    return done.stdout


def _run_git(
    folder: Path,
    arguments: Sequence[str],
    variables: Mapping[str, str],
    stdin: bytes = b"",
) -> "subprocess.CompletedProcess[bytes]":
    setting = [f"{name}={value}" for name, value in variables.items()]
    command = ["env", *setting, "git", "-C", str(folder), *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, check=False)
