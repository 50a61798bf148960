"""Which code and which machine a result comes from."""

import platform
import socket
import subprocess
from importlib import metadata
from pathlib import Path


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


def machine_provenance() -> dict[str, str | int]:
    """Returns what this process computes with. Initializes JAX."""
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


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
