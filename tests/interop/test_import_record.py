"""The record of an imported checkpoint: it comes back, and damage is named with the remedy."""

import json
from pathlib import Path
from typing import Any

import pytest

from codepretrain.errors import UserError
from codepretrain.interop.import_record import ImportRecord, import_folder, load_record

RECORD = ImportRecord(
    weights_sha256="a" * 64, ids_sha256=None, num_parameters=3, origin={"folder": "/m"}
)


def test_a_record_comes_back(tmp_path: Path) -> None:
    folder = import_folder(tmp_path, "base")
    assert load_record(folder) is None
    RECORD.save(folder)
    assert load_record(folder) == RECORD


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 9}, "format: expected 1, found 9"),
        ({"format": None}, "format: expected 1, found null"),
        ({"weights_sha256": 3}, "weights_sha256: expected text, found 3"),
        ({"ids_sha256": []}, r"ids_sha256: expected text, found \[\]"),
        ({"num_parameters": -1}, "num_parameters: expected a whole number, at least 1, found -1"),
        ({"origin": "x"}, 'origin: expected an object, found "x"'),
        ({"origin": {}}, "origin.folder is missing: expected text"),
    ],
)
def test_damage_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    RECORD.save(tmp_path)
    path = tmp_path / "import.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(UserError, match=f"damaged .*import.json: {message}.* import the model aga"):
        load_record(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "null", "{"])
def test_no_record_at_all(tmp_path: Path, content: str) -> None:
    (tmp_path / "import.json").write_text(content)
    with pytest.raises(UserError, match=r"import\.json is damaged: .*import the model again"):
        load_record(tmp_path)
