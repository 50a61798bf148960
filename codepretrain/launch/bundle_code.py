"""The code of a job on this machine: the wheel of its bundle, unpacked.

Supervisors and workers of a job run the code that it was submitted with, whatever becomes of the
checkout: they find it on PYTHONPATH, before anything else. On a pod `host_start.py` installs the
same wheel.
"""

import io
import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from codepretrain.errors import DamageError, UserError
from codepretrain.files import storage
from codepretrain.files.directory import check_directory, whole_directory
from codepretrain.files.hashing import sha256_json
from codepretrain.files.storage import read_bytes
from codepretrain.launch.job import Job
from codepretrain.launch.job_folder import JobFolder

_REMEDY = "submit the study again; finished phases and checkpoints are kept"


def unpack_code(folder: JobFolder, job: Job) -> Path:
    """Returns the local folder with the code of a job, which is made unless it is there and whole.

    Raises:
      DamageError: the bundle is not the one that was submitted.
      UserError: it cannot be read, or there is no space.
    """
    with zipfile.ZipFile(io.BytesIO(_wheel(folder, job.bundle))) as archive:
        target = _code_folder(folder, job.bundle)
        if _is_whole(target, archive):
            return target
        storage.remove_tree(target)
        with whole_directory(target) as scratch:
            archive.extractall(scratch)
    return target


def environment_with_code(environment: Mapping[str, str], code: Path) -> dict[str, str]:
    """Returns an environment in which `python -m codepretrain` runs this code.

    Python would look in the current directory first, which may be a checkout (PYTHONSAFEPATH); the
    modules there that a study names are still found, after the code.
    """
    others = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    paths = [os.fspath(code), *others, os.getcwd()]
    return {**environment, "PYTHONPATH": os.pathsep.join(paths), "PYTHONSAFEPATH": "1"}


def _wheel(folder: JobFolder, bundle: str) -> bytes:
    path = folder.bundle / bundle
    hashes = check_directory(path, reads_contents=True, remedy=_REMEDY)
    if sha256_json(dict(hashes)) != bundle:
        raise DamageError(f"damaged {path}: it does not match its hash; {_REMEDY}")
    (wheel,) = [name for name in hashes if name.endswith(".whl")]
    return read_bytes(path / wheel)


def _code_folder(folder: JobFolder, bundle: str) -> Path:
    if storage.is_local(folder.path):
        return Path(folder.path) / "code" / bundle
    return Path(tempfile.gettempdir()) / f"codepretrain-{folder.path.name}-code" / bundle


def _is_whole(target: Path, archive: zipfile.ZipFile) -> bool:
    try:
        return all(read_bytes(target / name) == archive.read(name) for name in archive.namelist())
    except UserError:
        return False
