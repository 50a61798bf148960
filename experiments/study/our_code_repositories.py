"""The repositories that `experiments/our_code.py` is given: which they are, and how much they hold.

No study of its own. Only lists of files are read.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from codepretrain.data.readers.git_listing import Listing, listing
from codepretrain.data.readers.git_objects import git_directory
from codepretrain.data.readers.git_repositories import (
    address_group,
    first_commit,
    has_commit,
    matching,
)
from codepretrain.data.readers.installed_packages import check_packages, packages_in
from codepretrain.data.readers.languages import chosen_languages
from codepretrain.errors import UserError
from codepretrain.files.storage import is_local

BYTES_PER_TOKEN = 4  # more than most tokenizers have, so that an estimate is not too large
_TRAINED, _HELD_OUT = "repositories", "held_out"


@dataclass(frozen=True, kw_only=True)
class Code:
    """The user's repositories: absolute paths or globs, and the tokens of those to train on.

    packages: installed ones that are the user's code, or may be by their names. num_held_out:
    repositories with code.
    """

    trained: tuple[str, ...]
    held_out: tuple[str, ...]
    packages: tuple[str, ...]
    languages: str
    num_tokens: int
    num_held_out: int


@dataclass(frozen=True, kw_only=True)
class _Repository:
    """directory: of git. address: where it was cloned from, None if that is not known. files: None
    if it has no commit. is_named: it is given by its path, not by a glob.
    """

    path: str
    directory: str
    address: str | None
    files: Listing | None
    is_named: bool

    @property
    def sizes(self) -> Mapping[str, int]:
        return self.files.sizes if self.files else {}

    @cached_property
    def first_commit(self) -> str | None:
        """The id of its first commit, None if it has none.

        Read where it is needed: a long history takes seconds, and every command loads the study.
        """
        return first_commit(self.directory) if self.files else None


def find_code(
    trained: str, held_out: str, *, languages: str, num_tokens: int, packages: str
) -> Code:
    """Returns the user's code, its size estimated from the repositories unless it is given.

    Args:
      packages: further installed packages that are the user's, separated by commas.

    Raises:
      UserError: a path matches no repository, one that is given by its path has no code or the
        same as another one, nothing is left to train on, or there is no such package.
    """
    try:
        chosen_languages(languages, reader="git")
    except UserError as error:
        raise UserError(_without_reader(error, "config.arguments.")) from error
    given_packages = _listed(packages)
    check_packages(given_packages, path="config.arguments.excluded_packages")
    paths = {_TRAINED: _listed(trained), _HELD_OUT: _listed(held_out)}
    found = {name: _repositories(name, given, languages) for name, given in paths.items()}
    held = found[_HELD_OUT]
    _check_differ(_HELD_OUT, list(held.values()))
    ours = [one for place, one in found[_TRAINED].items() if place not in held]
    ours = [one for one in ours if not _is_copy(one, list(held.values()))]
    if not ours:
        raise UserError(
            f"config.arguments.{_TRAINED}: each is in config.arguments.{_HELD_OUT} too: expected "
            "one or more to train on"
        )
    _check_differ(_TRAINED, ours)
    every = [*found[_TRAINED].values(), *held.values()]
    contained = packages_in(path for one in every if one.files for path in one.files.paths)
    sizes = {blob: size for one in ours for blob, size in one.sizes.items()}
    known = {blob for one in held.values() for blob in one.sizes}
    return Code(
        trained=tuple(map(absolute, paths[_TRAINED])),
        held_out=tuple(map(absolute, paths[_HELD_OUT])),
        packages=tuple(
            sorted({name for one in every for name in _names(one)} | {*contained, *given_packages})
        ),
        languages=languages,
        num_held_out=sum(bool(one.sizes) for one in held.values()),
        num_tokens=num_tokens
        or sum(size for blob, size in sizes.items() if blob not in known) // BYTES_PER_TOKEN,
    )


def absolute(path: str) -> str:
    """Returns a local path or glob as an absolute one; an address and "" as they are.

    A worker of a launched job has another working directory.
    """
    return os.path.abspath(os.path.expanduser(path)) if path and is_local(path) else path


def _repositories(name: str, paths: Sequence[str], languages: str) -> dict[str, _Repository]:
    """Returns the repositories that paths match by their real paths.

    Raises:
      UserError: a path matches none, is given twice, or has no code; of a glob, none has.
    """
    argument = f"config.arguments.{name}"
    if not paths:
        raise UserError(f"{argument}: expected paths of git repositories, separated by commas")
    found: dict[str, _Repository] = {}
    for given in paths:
        is_named = git_directory(os.path.expanduser(given)) is not None
        try:
            matched = matching(given)
        except UserError as error:
            raise UserError(_without_reader(error, f"{argument}: ")) from error
        for path, directory, _ in matched:
            place = os.path.realpath(path)
            if place in found and is_named and found[place].is_named:
                raise UserError(f"{argument}: {found[place].path} is given twice, as {path} too")
            if place not in found or is_named:
                found[place] = _Repository(
                    path=path,
                    directory=directory,
                    address=address_group(directory),
                    files=listing(directory, languages=languages),
                    is_named=is_named,
                )
    every = list(found.values())
    problems = {one.path: _problem(one, languages) for one in every}
    fatal = [problems[one.path] for one in every if problems[one.path] and one.is_named]
    if fatal or all(problems.values()):
        raise UserError(f"{argument}: {(fatal or list(problems.values()))[0]}")
    return found


def _problem(one: _Repository, languages: str) -> str:
    """Returns why a repository has no code; empty if it has some."""
    if one.files is None:
        return f"no commits in {one.path}: its HEAD is none, or git cannot read it"
    if one.files.num_missing > len(one.sizes):
        return (
            f"{one.path} lacks the contents of {one.files.num_missing:,} of its files, as a "
            "partial clone does: clone it whole"
        )
    if not one.sizes:
        return f"no file of config.arguments.languages={languages} in {one.path}"
    return ""


def _is_copy(one: _Repository, held: Sequence[_Repository]) -> bool:
    """Returns whether a repository is a copy of one that is held out.

    Raises:
      UserError: it is, and the user named it.
    """
    copies = [
        other
        for other in held
        if (one.address and one.address == other.address) or _is_within(one, [other])
    ] or _with_its_beginning(one, held)
    if copies and one.is_named:
        raise UserError(
            f"config.arguments.{_TRAINED}: {one.path} is a copy of {copies[0].path}, which is held "
            "out: expected a repository with other code"
        )
    return bool(copies)


def _with_its_beginning(one: _Repository, others: Sequence[_Repository]) -> list[_Repository]:
    """Returns the repositories whose first commit is that of `one`.

    Its own history is read only if it has one of their first commits.
    """
    theirs = [other.first_commit for other in others if other.first_commit]
    if not theirs or not has_commit(one.directory, theirs):
        return []
    return [other for other in others if other.first_commit == one.first_commit]


def _check_differ(name: str, repositories: Sequence[_Repository]) -> None:
    """Raises UserError if a repository that the user named has no code that those before lack."""
    for number, one in enumerate(repositories):
        if one.is_named and _is_within(one, repositories[:number]):
            raise UserError(
                f"config.arguments.{name}: all code of {one.path} is in "
                f"{', '.join(other.path for other in repositories[:number])}: leave it out"
            )


def _is_within(one: _Repository, others: Sequence[_Repository]) -> bool:
    known = {blob for other in others for blob in other.sizes}
    return bool(one.sizes) and known.issuperset(one.sizes)


def _names(one: _Repository) -> set[str]:
    """Returns what a repository is called: its folder's name, and that of its address."""
    path = Path(os.path.abspath(one.path))
    folder = (path.parent if path.name == ".git" else path).name
    names = {folder.removesuffix(".git")}
    if one.address and "/" in one.address:
        names.add(one.address.rpartition("/")[2])
    return names


def _listed(paths: str) -> tuple[str, ...]:
    return tuple(path.strip() for path in paths.split(",") if path.strip())


def _without_reader(error: UserError, prefix: str) -> str:
    return prefix + str(error).removeprefix("reader 'git': ").removeprefix("path: ")
