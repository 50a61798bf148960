"""Which installed packages a repository contains."""

import re
from pathlib import Path

import pytest

from codepretrain.data.readers.installed_packages import check_packages, packages_in
from codepretrain.data.readers.python_files import python_files
from codepretrain.errors import UserError


def files_of(package: str) -> list[str]:
    """Returns the paths of a package's files below site-packages."""
    return [
        file.name.removeprefix("site-packages/")
        for file in python_files()
        if file.origin.startswith(f"{package}==")
    ]


@pytest.mark.parametrize("folder", ["", "src/", "lib/vendor/_vendored/"])
def test_a_package_is_found_by_its_files_wherever_they_are(folder: str) -> None:
    paths = files_of("Jinja2") or files_of("jinja2")
    assert len(paths) > 10
    found = packages_in([f"{folder}{path}" for path in paths] + ["setup.py", "README.md"])
    assert [name.lower() for name in found] == ["jinja2"]


def test_half_of_a_package_is_not_the_package() -> None:
    paths = files_of("Jinja2") or files_of("jinja2")
    assert packages_in(paths[: len(paths) // 2]) == []
    assert packages_in([Path(path).name for path in paths if "/" in path]) == []
    assert packages_in([]) == []


def test_a_package_that_is_not_installed_is_named() -> None:
    check_packages(["numpy", "NumPy", "typing-extensions", "typing_extensions"], path="p")
    with pytest.raises(UserError, match=re.escape("p: no package 'nunpy' is installed; did you m")):
        check_packages(["numpy", "nunpy"], path="p")
