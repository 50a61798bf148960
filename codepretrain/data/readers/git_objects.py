"""Objects of a git repository, read through `git cat-file`, which runs no code of the repository.

A repository may be anybody's. The commands used here read its object database only; hooks, filters,
external diffs and the network are out of their reach: a partial clone's missing objects are not
fetched. Objects are checked against their hashes.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from types import TracebackType

from codepretrain.data.readers.reader import TOO_LARGE
from codepretrain.errors import UserError

MAX_OBJECT_BYTES = 2**26
BROKEN = "broken git object"

_ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_NO_LAZY_FETCH": "1",  # since git 2.39.4; the next line is for those before
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}


class ObjectError(Exception):
    """An object cannot be read; the message is a reason that names no object."""


def git_directory(repository: str) -> str | None:
    """Returns where a folder's git repository is, bare or with a working tree; None if not one."""
    if os.path.exists(os.path.join(repository, ".git")):
        return os.path.join(repository, ".git")
    parts = ("HEAD", "objects", "refs")
    is_bare = all(os.path.exists(os.path.join(repository, part)) for part in parts)
    return repository if is_bare else None


def git_output(directory: str, arguments: Sequence[str]) -> str | None:
    """Returns the first line that a git command prints, None if it prints none or fails."""
    output = git_bytes(directory, arguments)
    lines = (output or b"").decode(errors="replace").splitlines()
    return lines[0] if lines else None


def git_bytes(directory: str, arguments: Sequence[str]) -> bytes | None:
    """Returns what a git command prints, None if it fails."""
    done = subprocess.run(
        [*_command(directory), *arguments],
        env=_ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return done.stdout if done.returncode == 0 else None


def _command(directory: str) -> list[str]:
    git = shutil.which("git")
    if git is None:
        raise UserError("reader 'git': the command `git` is not installed")
    return [git, "--no-pager", f"--git-dir={directory}", "-c", f"core.hooksPath={os.devnull}"]


class Objects:
    """Reads objects by id; a context manager that owns two processes of `git cat-file`.

    One tells kinds and sizes, the other contents. The content of a large object is not asked for:
    git streams it, and where a damaged object states more than it has, the rest never comes.
    """

    def __init__(self, directory: str) -> None:
        command = [*_command(directory), "cat-file"]
        self._checks = _Batch([*command, "--batch-check"])
        self._contents = _Batch([*command, "--batch"])

    def __enter__(self) -> "Objects":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._checks.stop()
        self._contents.stop()

    def read(self, name: str, kind: str) -> bytes:
        """Returns the content of the object with this id, of this kind ("blob", "tree", …).

        Raises:
          ObjectError: it is missing, damaged, of another kind or too large.
        """
        found, content = self.read_any(name)
        if found != kind:
            raise ObjectError(BROKEN)
        return content

    def read_any(self, name: str) -> tuple[str, bytes]:
        """Returns the kind and the content of an object. Raises ObjectError as `read` does."""
        if self._checks.ask(name)[1] > MAX_OBJECT_BYTES:
            raise ObjectError(TOO_LARGE)
        kind, size = self._contents.ask(name)
        content = self._contents.read(size)
        digest = hashlib.sha256() if len(name) == 64 else hashlib.sha1(usedforsecurity=False)
        digest.update(f"{kind} {size}\0".encode())
        digest.update(content)
        if digest.hexdigest() != name:
            raise ObjectError(BROKEN)
        return kind, content


class _Batch:
    """A process that answers for one object after another; it is started again if it dies."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, name: str) -> tuple[str, int]:
        """Asks for an object. Returns its kind and size; raises ObjectError if there is none."""
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(name.encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            self.stop()
            raise ObjectError(BROKEN) from None
        header = process.stdout.readline().split()
        if len(header) != 3:
            if header[1:] != [b"missing"]:  # it died of the object
                self.stop()
            raise ObjectError(BROKEN)
        return header[1].decode(), int(header[2])

    def read(self, size: int) -> bytes:
        """Returns the content that follows an answer. Raises ObjectError if it is cut."""
        assert self._process is not None
        assert self._process.stdout is not None
        content = self._process.stdout.read(size + 1)
        if len(content) != size + 1 or content[-1:] != b"\n":
            self.stop()
            raise ObjectError(BROKEN)
        return content[:-1]

    def stop(self) -> None:
        """Ends the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = subprocess.Popen(
                self._command,
                env=_ENVIRONMENT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        return self._process
