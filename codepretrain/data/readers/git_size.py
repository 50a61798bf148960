"""How much code git repositories hold, from their trees alone: no file is read."""

import glob
import os
from collections.abc import Sequence

from codepretrain.data.readers.git_objects import git_bytes, git_directory
from codepretrain.data.readers.languages import chosen_languages, language_of_file
from codepretrain.errors import UserError


def repositories(paths: Sequence[str]) -> dict[str, str]:
    """Returns real path → git directory of every repository that the paths or globs match.

    Raises:
      UserError: a path matches none.
    """
    found: dict[str, str] = {}
    for given in paths:
        matched = {
            os.path.realpath(path): directory
            for path in sorted(glob.glob(os.path.expanduser(given).rstrip("/")))
            if (directory := git_directory(path)) is not None
        }
        if not matched:
            raise UserError(f"no git repository matches {given!r}")
        found |= matched
    return found


def num_bytes(directory: str, *, languages: str, revision: str = "HEAD") -> int | None:
    """Returns the size of the files of some languages in a revision; None if there is none.

    Without notebooks, as the reader `git` with contents="files".

    Args:
      directory: as `git_directory` returns it.
      languages: as in the reader `git`; "" counts files of any known language.
    """
    listed = git_bytes(directory, ["ls-tree", "-r", "-l", "-z", "--full-tree", revision])
    if listed is None:
        return None
    chosen = chosen_languages(languages, reader="git")
    total = 0
    for entry in listed.split(b"\0"):
        about, _, name = entry.partition(b"\t")
        fields = about.split()
        is_file = len(fields) == 4 and fields[1] == b"blob" and fields[3].isdigit()
        if not is_file or name.endswith(b".ipynb"):
            continue
        language = language_of_file(name.decode(errors="replace"))
        if language is not None and (chosen is None or language in chosen):
            total += int(fields[3])
    return total
