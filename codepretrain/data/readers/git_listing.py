"""The files of git repositories and their sizes, from their trees alone: no file is read."""

from collections.abc import Mapping
from dataclasses import dataclass

from codepretrain.data.readers.git_objects import git_bytes
from codepretrain.data.readers.languages import chosen_languages, language_of_file


@dataclass(frozen=True)
class Listing:
    """The files of a revision.

    paths: of all files. sizes: bytes by object of those in the chosen languages, each content
    once. num_missing: files in these languages whose contents the repository lacks, as a partial
    clone does.
    """

    paths: tuple[str, ...]
    sizes: Mapping[str, int]
    num_missing: int


def listing(directory: str, *, languages: str, revision: str = "HEAD") -> Listing | None:
    """Returns the files of a revision; None if there is none, or git cannot read it.

    Without notebooks, as the reader `git` with contents="files".

    Args:
      directory: as `git_directory` returns it.
      languages: as in the reader `git`; "" counts files of any known language.
    """
    listed = git_bytes(directory, ["ls-tree", "-r", "-l", "-z", "--full-tree", revision])
    if listed is None:
        return None
    chosen = chosen_languages(languages, reader="git")
    paths: list[str] = []
    sizes: dict[str, int] = {}
    num_missing = 0
    for entry in listed.split(b"\0"):
        about, _, name = entry.partition(b"\t")
        fields = about.split()
        if len(fields) != 4 or fields[1] != b"blob":
            continue
        path = name.decode(errors="replace")
        paths.append(path)
        language = None if path.endswith(".ipynb") else language_of_file(path)
        if language is None or (chosen is not None and language not in chosen):
            continue
        if fields[3].isdigit():
            sizes[fields[2].decode()] = int(fields[3])
        else:
            num_missing += 1
    return Listing(tuple(paths), sizes, num_missing)
