"""Files that know when they were altered."""

import json

import pytest
from etils import epath

from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.files.atomic import write_text
from codepretrain.files.sealed import read_sealed, write_sealed

_CONTENTS = {"rows": 120, "loss": 0.1 + 0.2, "none": None, "worst": float("-inf"), "é": ["x"]}


def test_gives_back_contents_and_hash(folder: epath.Path) -> None:
    written = write_sealed(folder / "manifest.json", _CONTENTS)
    assert read_sealed(folder / "manifest.json") == (_CONTENTS, written)


@pytest.mark.parametrize("key", sorted(_CONTENTS))
def test_every_altered_field_is_noticed(folder: epath.Path, key: str) -> None:
    path = folder / "manifest.json"
    write_sealed(path, _CONTENTS)
    values = storage.read_json(path)
    for altered in ({**values, key: 7}, {k: v for k, v in values.items() if k != key}):
        write_text(path, json.dumps(altered))
        with pytest.raises(UserError, match=r"manifest\.json was altered.*; prepare again"):
            read_sealed(path, remedy="prepare again")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "has no seal"),
        ('{"rows": 1}', "has no seal"),
        ('{"sha256": 5}', "was altered"),
        ('{"sha256": null}', "has no seal"),
        ('{"a": NaN, "sha256": ""}', "was altered"),
        ("[]", "expected a JSON object, found"),
        ("null", "expected a JSON object, found null"),
        ("", "not JSON"),
    ],
)
def test_what_is_no_sealed_file_is_named(folder: epath.Path, text: str, message: str) -> None:
    write_text(folder / "manifest.json", text)
    with pytest.raises(UserError, match=rf"manifest\.json.*{message}.*; prepare again"):
        read_sealed(folder / "manifest.json", remedy="prepare again")


def test_a_missing_file_is_named(folder: epath.Path) -> None:
    with pytest.raises(storage.MissingFileError, match=r"manifest\.json"):
        read_sealed(folder / "manifest.json")
