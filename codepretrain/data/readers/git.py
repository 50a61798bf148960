"""The user's own git repositories: files, notebooks and history, without a checkout.

The format of commits is that of CommitPack, one changed file each; notebooks and commits are
rendered as those of the other readers (`codepretrain.data.rendering`).
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from codepretrain.config.parse import suggestion
from codepretrain.data.document import Document, Skipped
from codepretrain.data.readers.commits import rendered_commit
from codepretrain.data.readers.git_objects import (
    ObjectError,
    Objects,
    git_directory,
    git_output,
)
from codepretrain.data.readers.git_repositories import Repository, copy_groups, matching
from codepretrain.data.readers.git_trees import (
    Broken,
    Change,
    Commit,
    Entry,
    changes,
    files,
    head_commit,
    history,
    read_commit,
)
from codepretrain.data.readers.languages import NOT_CHOSEN, chosen_languages, language_of_file
from codepretrain.data.readers.notebooks import rendered_notebook
from codepretrain.data.readers.reader import (
    RawFile,
    Reader,
    chunks,
    decoded,
)
from codepretrain.errors import UserError

CONTENTS = ("files", "notebooks", "commits")
_COMMITS_PER_SHARD = 256


@dataclass(frozen=True)
class Shard:
    """Some of what a repository contains, at the commit `head`."""

    repository: Repository
    head: str
    items: Sequence[Entry | str | Broken]


@dataclass(frozen=True, kw_only=True)
class Git(Reader):
    """The repositories that the glob `path` matches, or several, each bare or with a working tree.

    `contents` is `files` (those of `revision`, without notebooks), `notebooks`, or `commits` (the
    history of `revision`). `languages` as in the reader `the_stack`; the name of a file tells its
    language. Commits give a document for each changed file; merges, and commits that change more
    than `max_files_per_commit` files, are counted. The group is the repository: the address of its
    remote `origin`, else its first commit; the first commit always joins its copies. Uncommitted
    changes are not read. The system's git is used; it runs nothing that a repository contains and
    does not reach the network.
    """

    path: str | tuple[str, ...]
    contents: str = "files"
    revision: str = "HEAD"
    languages: str = ""
    license: str | None = None
    max_files_per_commit: int = 1

    def shards(self) -> Sequence[Shard]:
        self._check()
        return [shard for repository in self._repositories() for shard in self._list(repository)]

    def list_files(self) -> Sequence[RawFile]:
        self._check()
        return [RawFile(found.path, found.name) for found in self._repositories()]

    def files(self, shard: Shard) -> Sequence[RawFile]:
        """Returns the repository. Its remote names the group, and may change without a commit."""
        repository = shard.repository
        version = " ".join([shard.head, *repository.groups])
        return [RawFile(repository.path, repository.name, version=version)]

    def read(self, shard: Shard, source: str) -> Iterator[Document | Skipped]:
        with Objects(git_directory(shard.repository.path) or shard.repository.path) as objects:
            for item in shard.items:
                if isinstance(item, Broken):
                    yield Skipped(f"{shard.repository.path}: {item.path}".rstrip(" :"), item.reason)
                elif isinstance(item, Entry):
                    yield self._file(objects, shard, item, source)
                else:
                    yield from self._commit(objects, shard, item, source)

    def _check(self) -> None:
        if self.contents not in CONTENTS:
            near = suggestion(self.contents, CONTENTS)
            raise UserError(f"reader 'git': contents: there is no {self.contents!r}{near}")
        if self.revision.startswith("-"):
            raise UserError(f"reader 'git': revision: expected a name, found {self.revision!r}")
        if not self._paths():
            raise UserError("reader 'git': path: expected one folder or glob at least")
        chosen_languages(self.languages, reader="git")

    def _paths(self) -> tuple[str, ...]:
        return (self.path,) if isinstance(self.path, str) else self.path

    def _repositories(self) -> list[Repository]:
        """Returns each repository once, in the order of the paths.

        Raises:
          UserError: a path matches none, two repositories have one name, or none has the revision.
        """
        repositories: dict[str, Repository] = {}
        places: set[str] = set()
        for given in self._paths():
            for path, directory, name in matching(given):
                if (place := os.path.realpath(path)) in places:
                    continue
                places.add(place)
                if name in repositories:
                    raise UserError(
                        f"reader 'git': {repositories[name].path} and {path} are both named "
                        f"{name!r}: give a glob that matches both, such as the folder above and /*"
                    )
                repositories[name] = Repository(
                    path, name, copy_groups(path, directory, self.revision)
                )
        if self.revision != "HEAD" and not any(map(self._head, places)):
            raise UserError(
                f"reader 'git': revision: no repository that matches path {self.path!r} has "
                f"{self.revision!r}"
            )
        return list(repositories.values())

    def _head(self, path: str) -> str | None:
        """Returns the hash of the revision, None if the repository does not have it."""
        directory = git_directory(path) or path
        return git_output(directory, ["rev-parse", "--verify", "--quiet", self.revision])

    def _list(self, repository: Repository) -> list[Shard]:
        directory = git_directory(repository.path) or repository.path
        name = self._head(repository.path)
        with Objects(directory) as objects:
            try:
                if name is None:
                    raise ObjectError("repository without this revision")
                head = head_commit(objects, name)
            except ObjectError as error:
                return [Shard(repository, "", (Broken("", str(error)),))]
            if self.contents == "commits":
                found: list[Any] = [
                    item.name if isinstance(item, Commit) else item
                    for item in history(objects, head)
                ]
                size = _COMMITS_PER_SHARD
            else:
                found = [item for item in files(objects, head.tree) if self._is_listed(item)]
                size = 64
        return [Shard(repository, head.name, items) for items in chunks(found, size)]

    def _is_listed(self, item: Entry | Broken) -> bool:
        is_notebook = item.path.endswith(".ipynb")
        return isinstance(item, Broken) or is_notebook == (self.contents == "notebooks")

    def _file(
        self, objects: Objects, shard: Shard, entry: Entry, source: str
    ) -> Document | Skipped:
        place = f"{shard.repository.path}@{shard.head[:12]}:{entry.path}"
        is_notebook = self.contents == "notebooks"
        language = language_of_file(entry.path)
        if not is_notebook and not self._is_chosen(language):
            return Skipped(place, NOT_CHOSEN)
        text = _text(objects, entry.blob, place)
        if isinstance(text, Skipped):
            return text
        if is_notebook:
            rendered = rendered_notebook(text, place, with_outputs=True)
            if isinstance(rendered, Skipped):
                return rendered
            text, language = rendered
        return self._document(shard, shard.head, entry.path, text, language, source)

    def _commit(
        self, objects: Objects, shard: Shard, name: str, source: str
    ) -> Iterator[Document | Skipped]:
        place = f"{shard.repository.path}@{name[:12]}"
        try:
            commit = read_commit(objects, name)
            if len(commit.parents) > 1:
                yield Skipped(place, "merge")
                return
            before = read_commit(objects, commit.parents[0]).tree if commit.parents else None
            found = changes(objects, before, commit.tree, at_most=self.max_files_per_commit)
        except ObjectError as error:
            yield Skipped(place, str(error))
            return
        if not found or len(found) > self.max_files_per_commit:
            yield Skipped(place, "commit of too many files" if found else "commit of no file")
            return
        for change in found:
            yield self._change(objects, shard, commit, change, source)

    def _change(
        self, objects: Objects, shard: Shard, commit: Commit, change: Change, source: str
    ) -> Document | Skipped:
        place = f"{shard.repository.path}@{commit.name[:12]}:{change.path}"
        language = language_of_file(change.path)
        if not self._is_chosen(language):
            return Skipped(place, NOT_CHOSEN)
        if change.after is None:
            return Skipped(place, "commit removes the file")
        before = _text(objects, change.before, place) if change.before else ""
        after = _text(objects, change.after, place)
        if isinstance(before, Skipped):
            return before
        if isinstance(after, Skipped):
            return after
        text = rendered_commit(before, commit.message, after, place=place)
        if isinstance(text, Skipped):
            return text
        return self._document(shard, commit.name, change.path, text, language, source)

    def _document(
        self, shard: Shard, commit: str, path: str, text: str, language: str | None, source: str
    ) -> Document:
        group, *others = shard.repository.groups
        name = f"{shard.repository.name}@{commit}:{path}"
        return Document(
            id=name,
            text=text,
            source=source,
            origin=name,
            group=group,
            language=language,
            license=self.license,
            metadata={
                **({} if self.contents == "files" else {"format": self.contents.removesuffix("s")}),
                "repository": shard.repository.name,
                "commit": commit,
                "path": path,
            },
            other_groups=tuple(others),
        )

    def _is_chosen(self, language: str | None) -> bool:
        chosen = chosen_languages(self.languages, reader="git")
        return chosen is None or language in chosen


def _text(objects: Objects, blob: str, place: str) -> str | Skipped:
    """Returns the text of a blob, or why it is skipped."""
    try:
        content = objects.read(blob, "blob")
    except ObjectError as error:
        return Skipped(place, str(error))
    return decoded(content, place)
