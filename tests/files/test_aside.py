"""A file put aside keeps its content under a new name, however often."""

import pytest
from etils import epath

from codepretrain.files import storage
from codepretrain.files.aside import set_aside
from codepretrain.files.atomic import write_text
from codepretrain.files.storage import MissingFileError


def test_set_aside(folder: epath.Path) -> None:
    path = folder / "ledger.json"
    for content in ("first", "second"):
        write_text(path, content)
        assert storage.read_text(set_aside(path)) == content
    names = storage.names(folder)
    assert len(names) == 2
    assert all(name.startswith("ledger.until-") and name.endswith(".json") for name in names)
    with pytest.raises(MissingFileError):
        set_aside(path)
