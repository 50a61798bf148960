"""The files of this machine that a Python program needs: the interpreter and its libraries.

Neither installed packages nor the rest of the system are among them.
"""

import functools
import os
import re
import site
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

_SHARED_PREFIXES = ("/usr", "/usr/local")
_LOADER_FOLDERS = ("/lib64", "/nix/store", "/gnu/store")
_FILES = ("/etc/ld.so.cache", "/dev/null", "/dev/urandom")
# libc.so.6, libc-2.31.so, ld-linux-x86-64.so.2, ld-musl-x86_64.so.1, libpython3.11.so.1.0
_MAPPED_LIBRARY = re.compile(r"\s(/\S*/(?:libc[.-]|ld-|ld64|libpython\d)[^/\n]*)$", re.MULTILINE)


@dataclass(frozen=True)
class InterpreterFiles:
    """All paths are resolved: no component is a symbolic link.

    interpreter: the executable. readable: files and directories, none below another. links:
    symbolic links by path and target through which libraries are also looked up. hidden:
    directories below `readable` that hold installed packages. public: all users of this machine
    may read them.
    """

    interpreter: str
    readable: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    hidden: tuple[str, ...]
    public: bool


@functools.cache
def interpreter_files() -> InterpreterFiles:
    """Returns the files of the interpreter that runs this process, outside its environment."""
    interpreter = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
    wanted = [
        interpreter,
        *_python_library(),
        *_system_libraries(_maps()),
        *_LOADER_FOLDERS,
        *_FILES,
    ]
    links: dict[str, str] = {}
    resolved = set()
    for path in wanted:
        if os.path.exists(path):
            links |= _links(path)
            resolved.add(os.path.realpath(path))
    readable = sorted(path for path in resolved if not _is_below_any(path, resolved - {path}))
    packages = {os.path.realpath(path) for path in site.getsitepackages([sys.base_prefix])}
    hidden = sorted(p for p in packages if os.path.isdir(p) and _is_below_any(p, set(readable)))
    return InterpreterFiles(
        interpreter,
        tuple(readable),
        tuple(sorted(links.items())),
        tuple(hidden),
        all(
            os.stat(path).st_mode & 0o004 for path in (interpreter, os.__file__, *_python_library())
        ),
    )


def _python_library() -> list[str]:
    """A prefix of its own is taken whole: its libraries are found relative to the interpreter."""
    prefixes = {"base": sys.base_prefix, "platbase": sys.base_exec_prefix}
    installed = {f"installed_{name}": prefix for name, prefix in prefixes.items()}
    paths = sysconfig.get_paths(vars={**prefixes, **installed})
    folders = {paths["stdlib"], paths["platstdlib"]}
    if sys.base_prefix not in _SHARED_PREFIXES:
        folders |= {f"{sys.base_prefix}/lib", f"{sys.base_prefix}/{sys.platlibdir}"}
    return sorted(folder for folder in folders if os.path.isdir(folder))


def _maps() -> str:
    try:
        return Path("/proc/self/maps").read_text(errors="surrogateescape")
    except OSError:  # not Linux
        return ""


def _system_libraries(maps: str) -> list[str]:
    """The directories of the C library, with and without /usr, and a shared libpython.

    `maps` is what this process has mapped, as /proc/self/maps tells it.
    """
    found = set()
    for path in set(_MAPPED_LIBRARY.findall(maps)):
        if "/libpython" in path:
            found.add(path)
        elif "-packages/" not in path:  # a package may bring a C library of its own
            folder = os.path.dirname(path)
            found |= {folder, f"/usr{folder}", folder.removeprefix("/usr")}
    return sorted(found)


def _links(path: str) -> dict[str, str]:
    """Returns the symbolic links that are followed on the way to `path`, with their targets."""
    links = {}
    current = "/"
    pending = path.strip("/").split("/")
    while pending:
        step = pending.pop(0)
        if step in ("", "."):
            continue
        if step == "..":
            current = os.path.dirname(current)
            continue
        candidate = os.path.join(current, step)
        if os.path.islink(candidate) and candidate not in links:
            target = os.readlink(candidate)
            links[candidate] = target
            current = "/" if target.startswith("/") else current
            pending = [*target.strip("/").split("/"), *pending]
        else:
            current = candidate
    return links


def _is_below_any(path: str, folders: set[str]) -> bool:
    return any(path.startswith(folder.rstrip("/") + "/") for folder in folders)
