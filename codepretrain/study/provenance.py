"""The code, libraries and machine that produced a result."""

import dataclasses
import platform
import socket
import subprocess
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codepretrain.files.hashing import sha256_files, sha256_json

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
        "source_digest": source_digest(),
        "python": platform.python_version(),
        "packages": package_versions(),
    }


def code_version() -> str:
    """Returns the package's version and, in a git checkout, the commit, marked if edited since."""
    version = package_versions(("codepretrain",)).get("codepretrain", "uninstalled")
    folder = _package()
    try:
        # Fails where a repository merely contains the installation, as in a virtual environment.
        _git(folder, "ls-files", "--error-unmatch", "--", "study/provenance.py")
        commit = _git(folder, "rev-parse", "--short=12", "HEAD")
        edited = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".")
    except (OSError, subprocess.CalledProcessError):  # no git, or installed from a package
        return version
    return f"{version}+{commit}{'.edited' if edited else ''}"


def source_digest() -> str:
    """Returns a hash of the package's source files, which tells two edited checkouts apart."""
    folder = _package()
    files = sorted(p for p in folder.rglob("*") if p.suffix in (".py", ".html"))
    names = [path.relative_to(folder).as_posix() for path in files]
    return sha256_json(dict(zip(names, sha256_files(files), strict=True)))[:16]


def _package() -> Path:
    return Path(__file__).resolve().parent.parent


def package_versions(packages: Sequence[str] = _PACKAGES) -> dict[str, str]:
    """Returns the versions of those packages that are installed."""
    versions = {}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
