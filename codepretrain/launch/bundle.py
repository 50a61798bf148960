"""What every host of a job runs: code, lock and configs, under a hash of their contents.

    <job>/bundle/<sha256>/
        codepretrain-<version>-py3-none-any.whl    the running package
        requirements.lock                          versions of everything else
        study.json                                 the resolved study: `--config` takes it
        experiment.py                              the file that it came from, to read
        machine.json                               the resolved machine
        provenance.json                            commit and package versions
        change.diff                                the changes since the commit, if there are any
        files.json                                 the list of these files (`files/directory.py`)

The hash covers the names and contents of all files but the list. No secret's value is in any file:
a machine has the names of secrets only, and values that the environment holds are searched for.
"""

import io
import json
import platform
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from etils import epath

from codepretrain.config.parse import to_dict
from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.files.atomic import write_bytes
from codepretrain.files.directory import is_whole, whole_directory
from codepretrain.files.hashing import sha256_bytes, sha256_json
from codepretrain.files.scratch import scratch_folder
from codepretrain.files.storage import read_bytes
from codepretrain.launch.machine import LaunchConfig
from codepretrain.launch.source_tree import SourceTree, checkout_of, copy_source
from codepretrain.launch.wheel import NAME, build_wheel, pack_installed

STUDY, MACHINE, LOCK = "study.json", "machine.json", "requirements.lock"
_MIN_SECRET = 8  # a shorter value is found everywhere


@dataclass(frozen=True)
class Bundle:
    """The files of a bundle by name."""

    files: Mapping[str, bytes]

    @property
    def sha256(self) -> str:
        return sha256_json({name: sha256_bytes(content) for name, content in self.files.items()})

    @property
    def wheel(self) -> str:
        """The name of the wheel."""
        return next(name for name in self.files if name.endswith(".whl"))


def make_bundle(
    study: StudyConfig,
    machine: LaunchConfig,
    *,
    experiment: str,
    package: Path,
    secret_values: Mapping[str, str],
) -> Bundle:
    """Returns the bundle of a job; writes nothing.

    Args:
      experiment: the address of the file that the study was loaded from.
      package: the folder of the running package.
      secret_values: environment variable → value that must not be in any file.

    Raises:
      UserError: the wheel cannot be made, or a file contains a secret.
    """
    name = "experiment.json" if experiment.endswith(".json") else "experiment.py"
    files = {
        **_code(package),
        STUDY: _json(to_dict(study)),
        name: read_bytes(storage.parse(experiment, name="--config")),
        MACHINE: _json(to_dict(machine)),
    }
    check_no_secrets(files, secret_values)
    return Bundle(dict(sorted(files.items())))


def write_bundle(folder: epath.Path, bundle: Bundle) -> epath.Path:
    """Writes a bundle below `folder`, all or nothing, and returns its path.

    Raises:
      UserError: no space, no permission, no network.
    """
    path = folder / bundle.sha256
    if not is_whole(path):
        with whole_directory(path) as scratch:
            for name, content in bundle.files.items():
                write_bytes(scratch / name, content)
    return path


def check_no_secrets(files: Mapping[str, bytes], secret_values: Mapping[str, str]) -> None:
    """Raises UserError if a file contains the value of an environment variable that is secret."""
    values = {n: _spellings(v) for n, v in secret_values.items() if len(v.strip()) >= _MIN_SECRET}
    for where, content in _contents(files):
        for name, spellings in values.items():
            if any(spelling in content for spelling in spellings):
                raise UserError(
                    f"{where} contains the value of the environment variable {name}, and would be "
                    "stored with the job: remove it, and give the name of a secret as "
                    f"machine.machine.secrets.{name}"
                )


def _spellings(value: str) -> set[bytes]:
    """Returns a text as files may hold it: as it is, within JSON, and as lines of a diff."""
    text = value.strip()
    within = (json.dumps(text, ensure_ascii=is_ascii)[1:-1] for is_ascii in (False, True))
    lines = (text.replace("\n", f"\n{sign}") for sign in "+- ")
    return {found.encode("utf-8", "surrogateescape") for found in (text, *within, *lines)}


def _code(package: Path) -> dict[str, bytes]:
    """Returns the wheel, the lock, the provenance and, of an edited checkout, the diff."""
    checkout = checkout_of(package)
    if checkout is None:
        try:
            wheel, content = pack_installed(metadata.distribution(NAME))
        except metadata.PackageNotFoundError as error:
            raise UserError(
                f"{NAME} runs from {package}, which is neither a checkout nor an installation: "
                "install it with pip, or launch from a checkout"
            ) from error
        return {wheel: content, LOCK: _installed_lock(), "provenance.json": _provenance(None)}
    temporary = Path(tempfile.gettempdir())
    with scratch_folder(temporary, f"{NAME}-bundle-{sha256_bytes(str(checkout).encode())[:8]}") as (
        scratch
    ):
        tree = copy_source(checkout, scratch)
        lock = tree.folder / LOCK
        files = {
            LOCK: read_bytes(lock) if storage.is_file(lock) else _installed_lock(),
            "provenance.json": _provenance(tree),
            **({"change.diff": tree.diff} if tree.diff else {}),
        }
        wheel, content = build_wheel(tree.folder, scratch)
        return {wheel: content, **files}


def _provenance(tree: SourceTree | None) -> bytes:
    return _json(
        {
            "version": metadata.version(NAME),
            "commit": tree.commit if tree else None,
            "is_edited": bool(tree and tree.diff),
            "python": platform.python_version(),
            "packages": _packages(),
        }
    )


def _packages() -> dict[str, str]:
    """Returns the version of every installed distribution."""
    found = {d.metadata["Name"].lower(): d.version for d in metadata.distributions()}
    return dict(sorted(found.items()))


def _installed_lock() -> bytes:
    """Returns the versions that are installed, as constraints of pip."""
    lines = [f"{name}=={version}" for name, version in _packages().items() if name != NAME]
    return ("\n".join(lines) + "\n").encode()


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _contents(files: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Yields name and contents of every file, and of those in wheels."""
    for name, content in files.items():
        if not name.endswith(".whl"):
            yield name, content
            continue
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in archive.namelist():
                yield f"{name}: {member}", archive.read(member)
