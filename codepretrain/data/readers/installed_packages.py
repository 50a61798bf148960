"""Which installed packages a list of files contains, and whether a name is that of one."""

from collections import Counter
from collections.abc import Iterable

from codepretrain.config.parse import suggestion
from codepretrain.data.readers.python_files import distributions, normalized_name, python_files
from codepretrain.errors import UserError


def packages_in(paths: Iterable[str]) -> list[str]:
    """Returns the installed packages of which most Python files are among these paths.

    A package's `click/core.py` is `src/click/core.py` in its repository, `_vendor/click/core.py` in
    one that has a copy of it. Contents are not compared: versions differ.
    """
    below = {path[start:] for path in paths if path.endswith(".py") for start in _starts(path)}
    if not below:
        return []
    total: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for file in python_files():
        folder, _, name = file.name.partition("/")
        if folder == "site-packages":
            package = file.origin.partition("==")[0]
            total[package] += 1
            found[package] += name in below
    return sorted(package for package in total if 2 * found[package] > total[package])


def check_packages(names: Iterable[str], *, path: str) -> None:
    """Checks that packages are installed; `-`, `_`, `.` and case make no difference.

    Raises:
      UserError: one is not; `path` is what named it.
    """
    wanted = list(names)
    if not wanted:
        return  # listing takes 0.1 s for 190 packages
    known = [found.metadata["Name"] for found in distributions()]
    normalized = set(map(normalized_name, known))
    for name in wanted:
        if normalized_name(name) not in normalized:
            near = suggestion(name, known)
            raise UserError(f"{path}: no package {name!r} is installed{near}")


def _starts(path: str) -> list[int]:
    return [0, *(position + 1 for position, sign in enumerate(path) if sign == "/")]
