"""The program's directory on the host, used when it has no file system of its own."""

import os

_PREFIX = "codepretrain-sandbox-"


def path_of(parent: str, pid: int, token: str) -> str:
    """Returns where the supervisor `pid` makes its program's directory."""
    return f"{parent}/{_PREFIX}{pid}-{token}"


def create(path: str, program: bytes) -> None:
    """Makes the directory `path` with `program.py` and an empty `work`."""
    os.mkdir(path, 0o700)
    os.mkdir(f"{path}/work", 0o700)
    with open(f"{path}/program.py", "wb") as file:
        file.write(program)


def remove(path: str) -> None:
    """Removes a directory, whatever the program did to it.

    A tree of any depth: each directory is moved up to `path` and emptied there, so no path is long
    and nothing recurses. Modes are reset first. A missing `path` is no error.
    """
    if not os.path.lexists(path):
        return
    os.chmod(path, 0o700)
    token = os.urandom(8).hex()  # no name that the program could have taken
    pending = [path]
    emptied: list[str] = []
    while pending:
        current = pending.pop()
        emptied.append(current)
        with os.scandir(current) as entries:
            found = list(entries)
        for entry in found:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)
                continue
            os.chmod(entry.path, 0o700)
            moved = f"{path}/{token}-{len(emptied)}-{len(pending)}"
            os.rename(entry.path, moved)
            pending.append(moved)
    for directory in reversed(emptied):
        os.rmdir(directory)
