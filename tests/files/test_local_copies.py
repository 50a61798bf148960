"""Local copies of an object store's files, and local files as they are."""

from pathlib import Path

import pytest
from etils import epath

from codepretrain.errors import UserError
from codepretrain.files.atomic import write_bytes
from codepretrain.files.local_copies import LocalCopies
from codepretrain.files.storage import is_local


def test_a_copy_has_the_contents_and_goes_away(folder: epath.Path) -> None:
    write_bytes(folder / "a", b"0123")
    with LocalCopies() as copies:
        copy = copies.local(folder / "a")
        assert copy.read_bytes() == b"0123"
        assert copies.local(folder / "a") == copy
        assert isinstance(copy, Path)
    assert copy.exists() == is_local(folder)


def test_a_missing_file_is_named(memory: epath.Path) -> None:
    with LocalCopies() as copies, pytest.raises(UserError, match=r"there is no file .*/none"):
        copies.local(memory / "none")
