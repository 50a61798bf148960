"""Text files below a folder, local or in an object store."""

import fnmatch
import functools
import os
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from codepretrain.data.document import Document, Skipped
from codepretrain.data.readers.groups import file_group
from codepretrain.data.readers.languages import NOT_CHOSEN, chosen_languages, language_of_file
from codepretrain.data.readers.raw_files import file_name, read_text_file
from codepretrain.data.readers.reader import MissingCorpusError, RawFile, Reader, chunks
from codepretrain.errors import UserError
from codepretrain.files.storage import is_local, parse, sizes_below

# Kernel file systems: their files are endless, block, or change while they are read.
_NOT_CORPORA = ("/proc", "/sys")


@dataclass(frozen=True, kw_only=True)
class Folder(Reader):
    """Files below `path` whose relative path matches `pattern`.

    `*` also matches `/`, and `**/` nothing as well: `*.py` and `**/*.py` are files at any depth.

    Links to folders are not followed, links to files are. Hidden files and folders are left out.
    `languages` as in the reader `the_stack`: the name of a file tells its language, unless
    `language` does. The group is the file, named by the folder's own name and the path below it.
    """

    path: str
    pattern: str = "*"
    languages: str = ""
    language: str | None = None
    license: str | None = None

    def shards(self) -> Sequence[Sequence[str]]:
        chosen_languages(self.languages, reader="folder")
        found = self._local_names() if is_local(self.path) else sizes_below(self._root())
        names = sorted(name for name in found if self._is_listed(name))
        if not names:
            raise MissingCorpusError(
                f"reader 'folder': no file below {self.path!r} matches {self.pattern!r}"
            )
        return chunks(names)

    def files(self, shard: Sequence[str]) -> Sequence[RawFile]:
        root = self._root()
        return [RawFile(f"{root}/{name}", file_name(name)) for name in shard]

    def read(self, shard: Sequence[str], source: str) -> Iterator[Document | Skipped]:
        chosen = chosen_languages(self.languages, reader="folder")
        folder = posixpath.basename(self._root())
        for file in self.files(shard):
            language = self.language or language_of_file(file.name)
            if chosen is not None and language not in chosen:
                yield Skipped(f"{self.path}/{file.name}", NOT_CHOSEN)
            else:
                yield self._document(file, folder, language, source)

    def _document(
        self, file: RawFile, folder: str, language: str | None, source: str
    ) -> Document | Skipped:
        text = read_text_file(file, f"{self.path}/{file.name}")
        if isinstance(text, Skipped):
            return text
        return Document(
            id=file.name,
            text=text,
            source=source,
            origin=f"{folder}/{file.name}",
            group=file_group(folder, file.name),
            language=language,
            license=self.license,
        )

    def _root(self) -> str:
        return os.fspath(parse(self.path, name="reader 'folder': path"))

    def _local_names(self) -> list[str]:
        root = Path(self._root())
        if not root.is_dir():
            raise MissingCorpusError(f"reader 'folder': path {self.path!r} is not a folder")
        if _is_system(root):
            raise UserError(
                f"reader 'folder': path {self.path!r} is in a file system of the kernel, expected "
                "a folder of text files"
            )
        names = []
        for folder, subfolders, files in os.walk(root, onerror=_refuse):
            subfolders[:] = [
                name
                for name in subfolders
                if not name.startswith(".") and not _is_system(Path(folder) / name)
            ]
            relative = Path(folder).relative_to(root)
            names += [(relative / name).as_posix() for name in files]
        return names

    def _is_listed(self, name: str) -> bool:
        is_hidden = any(part.startswith(".") for part in name.split("/"))
        if is_hidden:
            return False
        return any(fnmatch.fnmatchcase(name, one) for one in _alternatives(self.pattern))


@functools.cache
def _alternatives(pattern: str) -> frozenset[str]:
    """Returns a pattern with and without each of its `**/`, which match nothing as well."""
    head, stars, tail = pattern.partition("**/")
    if not stars:
        return frozenset({pattern})
    return frozenset(head + some + rest for rest in _alternatives(tail) for some in ("", stars))


def _is_system(folder: Path) -> bool:
    resolved = os.path.realpath(folder)
    return any(resolved == root or resolved.startswith(f"{root}/") for root in _NOT_CORPORA)


def _refuse(error: OSError) -> None:
    raise UserError(f"reader 'folder': cannot list {error.filename}: {error.strerror}") from error
