"""A file system of the program's own: the interpreter, system libraries and a directory to work in.

    /                  tmpfs, read-only
    /sandbox/program.py
    /sandbox/stdin     empty: the standard input
    /sandbox/empty     covers the folders of installed packages
    /sandbox/work      tmpfs of bounded size and number of files, the only place to write
    /usr/lib/... etc.  the host's, read-only, no set-user-id, no devices
    /dev/null, /dev/urandom

There is no /proc and no /sys. What a mount shows is opened first, with the rights of the user who
runs the sandbox; the tree is built afterwards, by the user whom the program will be.
"""

import os
import stat

from codepretrain.evals.sandbox import kernel

_FOLDER = "/sandbox"
PROGRAM = f"{_FOLDER}/program.py"
WORK = f"{_FOLDER}/work"
STDIN = f"{_FOLDER}/stdin"
_EMPTY = f"{_FOLDER}/empty"
_MOUNT_POINT = "/proc"  # any directory that all users reach; covered in this namespace only

_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 1, 2, 4, 8
_MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 32, 4096, 16384, 1 << 18
_MNT_DETACH = 2
_AT_FDCWD, _AT_EMPTY_PATH, _AT_RECURSIVE = -100, 0x1000, 0x8000
_OPEN_TREE_CLONE = 1
_MOVE_MOUNT_FROM_DESCRIPTOR = 4


def open_trees(paths: list[str]) -> list[tuple[str, int]]:
    """Returns each path with a descriptor of a read-only copy of the mount tree below it."""
    trees = []
    for path in paths:
        flags = _OPEN_TREE_CLONE | _AT_RECURSIVE | os.O_CLOEXEC
        tree = kernel.system_call("open_tree", _AT_FDCWD, os.fsencode(path), flags)
        device = stat.S_ISCHR(os.fstat(tree).st_mode)
        attributes = _MS_RDONLY | _MS_NOSUID | (_MS_NOEXEC if device else _MS_NODEV)
        structure = attributes.to_bytes(8, "little") + bytes(24)  # struct mount_attr
        kernel.system_call(
            "mount_setattr",
            tree,
            b"",
            _AT_EMPTY_PATH | _AT_RECURSIVE,
            structure,
            len(structure),
        )
        trees.append((path, tree))
    return trees


def enter(
    trees: list[tuple[str, int]],
    *,
    links: list[tuple[str, str]],
    hidden: list[str],
    program: bytes,
    disk_bytes: int,
) -> None:
    """Builds the root and moves this process into it; its mount namespace has nothing else left.

    Args:
      trees: from `open_trees`.
      links: symbolic links by path and target, such as /lib to usr/lib.
      hidden: directories that the program finds empty.
      program: becomes `PROGRAM`.
      disk_bytes: the size of `WORK`.
    """
    _mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)
    options = f"size={len(program) + (1 << 20)},nr_inodes=512,mode=755"
    _mount(b"tmpfs", _MOUNT_POINT.encode(), b"tmpfs", _MS_NOSUID | _MS_NODEV, options.encode())
    os.chdir(_MOUNT_POINT)
    for path, target in links:
        os.makedirs(os.path.dirname(path)[1:] or ".", exist_ok=True)
        os.symlink(target, path[1:])
    for path, tree in trees:
        _place(path, tree)
    for path in (_FOLDER, _EMPTY, WORK):
        os.mkdir(path[1:])
    _write(PROGRAM, program)
    _write(STDIN, b"")
    for path in hidden:
        _mount(_EMPTY[1:].encode(), os.fsencode(path[1:]), None, _MS_BIND, None)
        flags = _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID | _MS_NODEV
        _mount(b"none", os.fsencode(path[1:]), None, flags, None)
    options = f"size={disk_bytes},nr_inodes=1024,mode=700"
    flags = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    _mount(b"tmpfs", WORK[1:].encode(), b"tmpfs", flags, options.encode())
    kernel.system_call("pivot_root", b".", b".")
    kernel.libc_call("umount2", b".", _MNT_DETACH)
    os.chdir("/")
    flags = _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID | _MS_NODEV
    _mount(b"none", b"/", None, flags, None)


def _mount(
    source: bytes, target: bytes, kind: bytes | None, flags: int, options: bytes | None
) -> None:
    kernel.libc_call("mount", source, target, kind, flags, options)


def _place(path: str, tree: int) -> None:
    target = path[1:]
    if stat.S_ISDIR(os.fstat(tree).st_mode):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        _write(path, b"")
    kernel.system_call(
        "move_mount",
        tree,
        b"",
        _AT_FDCWD,
        os.fsencode(target),
        _MOVE_MOUNT_FROM_DESCRIPTOR,
    )
    os.close(tree)


def _write(path: str, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(path[1:], flags, 0o444)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
