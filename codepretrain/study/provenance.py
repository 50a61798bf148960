"""The code, libraries and machine that produced a result."""

import dataclasses
import platform
import socket
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from codepretrain.train.program import Program

# Packages that compute, store or read what a run depends on; jax-cuda… includes the driver's.
_PACKAGES = (
    "jax",
    "jaxlib",
    "libtpu",
    "jax-cuda12-plugin",
    "jax-cuda12-pjrt",
    "jax-cuda13-plugin",
    "jax-cuda13-pjrt",
    "tokamax",
    "flax",
    "optax",
    "orbax-checkpoint",
    "tensorstore",
    "grain",
    "array-record",
    "numpy",
)


def provenance(
    program: "Program", *, command_line: str, environment: Mapping[str, str]
) -> dict[str, Any]:
    """Returns what this start of a study runs on, as JSON values.

    Args:
      environment: the variables that JAX and its compilers read.
    """
    import jax

    device = program.mesh.devices.flat[0]
    return {
        "command": command_line,
        "environment": dict(environment),
        "host": socket.gethostname(),
        "device_kind": device.device_kind,
        "platform_version": device.client.platform_version,
        "num_devices": program.mesh.size,
        "num_processes": jax.process_count(),
        "mesh": dict(program.mesh.shape),
        "attention_kernel": program.attention_kernel.name,
        "execution": dataclasses.asdict(program.config.execution),
        "code_version": code_version(),
        "python": platform.python_version(),
        "packages": _versions(),
    }


def code_version() -> str:
    """Returns the package's version and, in a git checkout, the commit, marked if edited since."""
    version = metadata.version("codepretrain")
    folder = Path(__file__).resolve().parent.parent  # the whole package
    try:
        commit = _git(folder, "rev-parse", "--short=12", "HEAD")
        edited = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".")
    except (OSError, subprocess.CalledProcessError):  # no git, or installed from a package
        return version
    return f"{version}+{commit}{'.edited' if edited else ''}"


def _versions() -> dict[str, str]:
    """Returns the versions of the packages that are installed."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
