"""Atomic directories: they exist with all their files, or not at all.

    <directory>/   the files   files.json      sealed: size and SHA-256 of every file, written last

Locally the files are made in a folder next to the directory, which is synced and renamed. In an
object store nothing can be renamed: files are made in a local folder, uploaded, read back and
compared by hash; `files.json` is uploaded last and commits the directory. The lease in the folder
`.<directory>.uploading` beside it is created first and removed last. It marks the remains of a
killed upload, which the next attempt removes; other contents are never mistaken for them.
"""

import errno
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from etils import epath

from codepretrain.errors import DamageError, PassingError, UserError
from codepretrain.files.atomic import make_folders, sync, write_bytes
from codepretrain.files.explain import FULL, explained, shown
from codepretrain.files.hashing import sha256_bytes, sha256_files
from codepretrain.files.hold_errors import LeaseLostError
from codepretrain.files.lease import Lease, exclusive
from codepretrain.files.object_path import filesystem
from codepretrain.files.scratch import scratch_folder
from codepretrain.files.sealed import read_sealed, write_sealed
from codepretrain.files.storage import (
    THREADS,
    StrPath,
    exists,
    is_file,
    is_local,
    read_bytes,
    remove,
    remove_tree,
    sizes_below,
)

FILES = "files.json"
_FORMAT = 1


def is_whole(path: StrPath) -> bool:
    """Returns whether a directory made by `whole_directory` exists."""
    return is_file(os.path.join(path, FILES))


@contextmanager
def whole_directory(path: StrPath) -> Iterator[Path]:
    """Yields a new local folder whose files become the directory `path` when the block succeeds.

    If the block raises, nothing appears at `path`. If another process made the directory in the
    meantime, that one is kept and this one's files are dropped: continue with the contents of
    `path`, not with what the block computed. For an object store the local folder is in the
    system's temporary directory (TMPDIR), which needs space for all files.

    Raises:
      UserError: something else is at `path`; or no space, no permission, no network.
    """
    path, parent, name, where = _workplace(path)
    with ExitStack() as stack:
        with explained("write", path):
            _check_free(path)
        with explained("write", where):
            folder = stack.enter_context(scratch_folder(parent, name))
        with explained("write", where, only=FULL):
            yield folder
        with explained("write", where):
            files = _write_list(folder)
        with explained("write", path):
            if is_local(path):
                _rename(folder, Path(path))
            else:
                _upload(folder, path, files)


@contextmanager
def joined_directory(path: StrPath, parts: Sequence[str]) -> Iterator[Path]:
    """Yields a new local folder whose files are added to `path`, which holds whole directories.

    When the block succeeds, `path` is whole too: its list names the added files and all files of
    the directories `parts` below it. A killed attempt leaves files but no list, and the next
    attempt replaces them; so every attempt must write the same bytes.

    Raises:
      UserError: a part is missing or its list is damaged; or no space, no permission, no network.
    """
    path, parent, name, where = _workplace(path)
    with explained("write", where), scratch_folder(parent, f"{name}.joined") as folder:
        yield folder
        of_parts = {
            f"{part}/{name}": entry
            for part in parts
            for name, entry in _files_of_part(_in(path, part)).items()
        }
        files = _write_list(folder, of_parts)
        if is_local(path):
            _move_into(folder, Path(path), files)
        else:
            _put_all(folder, path, files)
            write_bytes(_in(path, FILES), (folder / FILES).read_bytes())


def check_directory(path: StrPath, *, reads_contents: bool, remedy: str) -> Mapping[str, str]:
    """Compares a directory's files with its list, and returns the SHA-256 of each by name.

    Args:
      reads_contents: compare the hashes of all bytes, not only names and sizes.
      remedy: the fix for damage, for the message.

    Raises:
      UserError: names each file that is missing, of another size, or altered.
    """
    listed = _read_list(path, remedy=remedy)
    sizes = sizes_below(path)
    problems = {name: "is missing" for name in listed if name not in sizes}
    for name, (size, _) in listed.items():
        if name in sizes and sizes[name] != size:
            problems[name] = f"has {sizes[name]:,} bytes, expected {size:,}"
    if reads_contents:
        whole = sorted(listed.keys() - problems.keys())
        hashes = sha256_files(_in(path, name) for name in whole)
        for name, found in zip(whole, hashes, strict=True):
            if found != listed[name][1]:
                problems[name] = "was altered: its sha256 differs"
    if problems:
        what = "; ".join(f"{name} {problem}" for name, problem in sorted(problems.items()))
        raise DamageError(f"damaged {os.fspath(path)}: {what}; {remedy}")
    return {name: sha256 for name, (_, sha256) in listed.items()}


def remove_directory(path: StrPath) -> None:
    """Removes a directory. If it is killed, the next `whole_directory` cleans up the rest."""
    if is_local(path):
        with (
            explained("remove", path),
            scratch_folder(Path(path).parent, Path(path).name) as folder,
        ):
            if os.path.lexists(path):
                os.rename(path, folder / "removed")
                sync(folder.parent)
        return
    write_bytes(_mark(path) / "removing", b"")
    remove(_in(path, FILES))
    for name in sizes_below(path):
        remove(_in(path, name))
    remove_tree(_mark(path))


def _workplace(path: StrPath) -> tuple[StrPath, Path, str, str]:
    """Returns where the files of a directory are made.

    The directory's path, without links if it is local: a rename would not follow a link, nor leave
    its target's file system. The parent of the new local folder, and its name. What messages call
    the place.
    """
    if is_local(path):
        path = os.path.realpath(path)
        return path, Path(path).parent, os.path.basename(path), path
    parent = Path(tempfile.gettempdir())
    name = sha256_bytes(os.fspath(path).encode())[:16]
    return path, parent, name, f"{parent} (TMPDIR), where files are made for {os.fspath(path)}"


def _check_free(path: StrPath) -> None:
    """Raises UserError if there is anything but the remains of a killed upload."""
    if is_local(path):
        there = os.path.lexists(path) and (not os.path.isdir(path) or bool(os.listdir(path)))
    else:
        there = exists(path) and not exists(_mark(path))
    if there and not is_whole(path):
        raise UserError(
            f"{shown(path)} is incomplete, or was not made by this program: delete it, or choose "
            "another path"
        )


def _write_list(
    folder: Path, of_parts: Mapping[str, tuple[int, str]] | None = None
) -> dict[str, tuple[int, str]]:
    """Hashes the files of a local folder, writes their list, and syncs them to the disk.

    Args:
      of_parts: size and SHA-256 of further files, which are listed but not in the folder.
    """
    sizes = sizes_below(folder)
    found = sorted(sizes)
    assert FILES not in sizes, f"{FILES} is a reserved name"
    hashes = sha256_files(folder / name for name in found)
    files = {n: (sizes[n], sha256) for n, sha256 in zip(found, hashes, strict=True)}
    entries = {**files, **(of_parts or {})}
    listed = {n: {"size": size, "sha256": sha256} for n, (size, sha256) in entries.items()}
    write_sealed(folder / FILES, {"format": _FORMAT, "files": listed})
    for top, _, some in os.walk(folder):
        for name in some:
            sync(os.path.join(top, name))
        sync(top)
    return files


def _read_list(path: StrPath, *, remedy: str) -> dict[str, tuple[int, str]]:
    where = _in(path, FILES)
    contents, _ = read_sealed(where, remedy=remedy)
    if contents.get("format") != _FORMAT:
        raise UserError(
            f"{os.fspath(where)} has format {contents.get('format')!r}, this version reads "
            f"{_FORMAT}; {remedy}"
        )
    return {name: (file["size"], file["sha256"]) for name, file in contents["files"].items()}


def _rename(folder: Path, path: Path) -> None:
    try:
        os.rename(folder, path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or not is_whole(path):
            raise
        return  # another process was first
    sync(path.parent)


def _upload(folder: Path, path: StrPath, files: Mapping[str, tuple[int, str]]) -> None:
    try:
        with exclusive(_mark(path), waits=True) as lease:
            if not is_whole(path):
                _upload_held(folder, path, files, lease)
    except LeaseLostError:
        if not is_whole(path):  # by another process, which removed the lease at the end
            raise
    remove_tree(_mark(path))


def _upload_held(
    folder: Path, path: StrPath, files: Mapping[str, tuple[int, str]], lease: Lease
) -> None:
    for name in sizes_below(path).keys() - files.keys():
        remove(_in(path, name))
    _put_all(folder, path, files)
    lease.check()
    write_bytes(_in(path, FILES), (folder / FILES).read_bytes())


def _mark(path: StrPath) -> epath.Path:
    """Returns the folder of an object store that exists while a directory is written or removed."""
    return epath.Path(path).parent / f".{os.path.basename(path)}.uploading"


def _put_all(folder: Path, path: StrPath, files: Mapping[str, tuple[int, str]]) -> None:
    """Uploads files, reads them back, and compares them by hash."""
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda name: _put(folder / name, _in(path, name)), files))
    hashes = sha256_files(_in(path, name) for name in files)
    for (name, (_, expected)), found in zip(files.items(), hashes, strict=True):
        if found != expected:
            raise PassingError(
                f"{os.fspath(_in(path, name))} differs from what was uploaded: rerun the same "
                "command"
            )


def _move_into(folder: Path, path: Path, files: Mapping[str, tuple[int, str]]) -> None:
    make_folders(path)
    for name in files:
        os.replace(folder / name, path / name)
    sync(path)
    os.replace(folder / FILES, path / FILES)
    sync(path)


def _files_of_part(part: StrPath) -> dict[str, tuple[int, str]]:
    """Returns size and SHA-256 of a whole directory's files, its list included."""
    content = read_bytes(_in(part, FILES))
    files = _read_list(part, remedy=f"delete {os.fspath(part)} and rerun the same command")
    return {**files, FILES: (len(content), sha256_bytes(content))}


def _put(file: Path, target: StrPath) -> None:
    with explained("write", target):
        fs, key = filesystem(target)
        fs.put_file(os.fspath(file), key)


def _in(path: StrPath, name: str) -> epath.Path:
    return epath.Path(path) / name
