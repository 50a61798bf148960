"""Hashes against values computed elsewhere."""

import pytest
from etils import epath

from codepretrain.files import hashing, storage
from codepretrain.files.atomic import write_bytes

# `printf abc | sha256sum`, and the standard's example of a million letters a.
_ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
_MILLION_A = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"


def test_bytes_and_files(folder: epath.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "CHUNK_BYTES", 300_000)
    write_bytes(folder / "a", b"a" * 10**6)
    write_bytes(folder / "empty", b"")
    assert hashing.sha256_bytes(b"abc") == _ABC
    assert hashing.sha256_file(folder / "a") == _MILLION_A
    assert hashing.sha256_files([folder / "empty", folder / "a"]) == [
        hashing.sha256_bytes(b""),
        _MILLION_A,
    ]
    with pytest.raises(storage.MissingFileError, match="none"):
        hashing.sha256_files([folder / "a", folder / "none"])


def test_json_by_key_and_value_not_by_order() -> None:
    one = hashing.sha256_json({"a": 1, "b": [1.5, None]})
    assert one == hashing.sha256_json({"b": [1.5, None], "a": 1})
    assert one == hashing.sha256_bytes(b'{"a":1,"b":[1.5,null]}')
    assert one != hashing.sha256_json({"a": 1, "b": [None, 1.5]})
    with pytest.raises(ValueError, match="not JSON compliant"):
        hashing.sha256_json({"a": float("nan")})
