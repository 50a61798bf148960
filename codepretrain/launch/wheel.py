"""The running package as a wheel: built from its source, or packed from an installation.

The same source gives the same bytes: times and permissions of files are constants.
"""

import base64
import hashlib
import io
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from codepretrain.errors import UserError, one_line
from codepretrain.files import storage
from codepretrain.files.storage import read_bytes

NAME = "codepretrain"
_EPOCH = 315_532_800  # 1980-01-01, the first time that a zip file can hold
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
_MODE = 0o644
_OF_PIP = ("note:", "hint:", "[", "See above", "exit code:", "error: subprocess")  # its frame
_FIX = "run `pip install pip setuptools` in this environment"
# Written by an installer, about this installation.
_OF_INSTALLER = ("INSTALLER", "REQUESTED", "RECORD", "direct_url.json", "uv_cache.json")


def build_wheel(source: Path, scratch: Path) -> tuple[str, bytes]:
    """Builds a wheel of the source in a folder, which is written to, and returns name and bytes.

    Raises:
      UserError: pip or setuptools is missing, or the build fails.
    """
    for name in storage.sizes_below(source):
        (source / name).chmod(_MODE)
    output = scratch / "wheel"
    command = [
        *("env", f"SOURCE_DATE_EPOCH={_EPOCH}", sys.executable, "-m", "pip", "wheel"),
        *("--no-deps", "--no-build-isolation", "--no-index", "--no-cache-dir", "--quiet"),
        *("--disable-pip-version-check", "--wheel-dir", str(output), str(source)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        lines = [line.strip(" ×╰─>│|") for line in done.stderr.splitlines()]
        said = [line for line in lines if line and not line.startswith(_OF_PIP)]
        reason = one_line(" ".join(said[-3:]) or f"pip ended with code {done.returncode}")
        raise UserError(
            f"cannot build a wheel of {NAME}: {reason}; if pip or setuptools is missing, {_FIX}"
        )
    (name,) = storage.names(output)
    return name, read_bytes(output / name)


def pack_installed(distribution: metadata.Distribution) -> tuple[str, bytes]:
    """Returns name and bytes of a wheel of an installed distribution.

    Raises:
      UserError: the installation does not list its files.
    """
    version = distribution.version
    info = f"{NAME}-{version}.dist-info"
    members: dict[str, bytes] = {}
    for path in distribution.files or []:
        top, _, rest = path.as_posix().partition("/")
        is_info = top == info and rest not in _OF_INSTALLER
        if (top == NAME and not rest.endswith(".pyc")) or is_info:
            members[path.as_posix()] = read_bytes(str(path.locate()))
    if f"{NAME}/__init__.py" not in members:
        raise UserError(
            f"cannot pack {NAME} {version}: the installation does not list its files; reinstall it "
            "with pip, or launch from a checkout"
        )
    members[f"{info}/RECORD"] = _record(members, f"{info}/RECORD")
    return f"{NAME}-{version}-py3-none-any.whl", _zipped(members)


def _record(members: Mapping[str, bytes], own: str) -> bytes:
    """Returns the list of a wheel's files with their hashes."""
    lines = []
    for name in sorted(members):
        digest = base64.urlsafe_b64encode(hashlib.sha256(members[name]).digest()).rstrip(b"=")
        lines.append(f"{name},sha256={digest.decode()},{len(members[name])}")
    return "\n".join([*lines, f"{own},,", ""]).encode()


def _zipped(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(members):
            entry = zipfile.ZipInfo(name, date_time=_ZIP_TIME)
            entry.external_attr = (0o100000 | _MODE) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, members[name])
    return buffer.getvalue()
