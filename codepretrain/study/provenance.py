"""Which code, which machine, and who else is at work on a run."""

import fcntl
import os
import platform
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

from codepretrain.errors import UserError


def code_version() -> str:
    """Returns the package's version and, in a git checkout, the commit, marked if edited since."""
    version = metadata.version("codepretrain")
    folder = Path(__file__).resolve().parent
    try:
        commit = _git(folder, "rev-parse", "--short=12", "HEAD")
        edited = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".")
    except (OSError, subprocess.CalledProcessError):  # no git, or installed from a package
        return version
    return f"{version}+{commit}{'.edited' if edited else ''}"


def machine_facts() -> dict[str, str | int]:
    """Returns what this process computes with. Initialises JAX."""
    import jax

    devices = jax.devices()
    return {
        "host": socket.gethostname(),
        "devices": f"{len(devices)} × {devices[0].device_kind}",
        "processes": jax.process_count(),
        "python": platform.python_version(),
        "jax": jax.__version__,
        "code_version": code_version(),
    }


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Holds `folder` for this process; the lock goes with the process, however it dies.

    Raises:
      UserError: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise UserError(
                f"{folder} is in use by {holder}: wait for it to end, or stop it"
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
