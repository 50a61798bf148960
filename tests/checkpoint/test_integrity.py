"""A verdict on every file of a checkpoint; test_manager.py has the kinds of damage."""

from pathlib import Path

import pytest

from codepretrain.checkpoint import record
from codepretrain.checkpoint.integrity import verify
from codepretrain.checkpoint.record import FormatError, Record
from codepretrain.files.sealed import write_sealed


def test_every_damaged_file_is_named(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    for name in "abcd":
        (state / name).write_bytes(name.encode() * 1000)
    files = record.hash_files(tmp_path, [f"state/{name}" for name in "abcd"])
    contents = Record(step=1, permanent=True, ledger={}, identity={}, files=files)
    record.write_record(tmp_path, contents)
    assert verify(tmp_path) == (contents, ())
    (state / "a").unlink()
    (state / "b").write_bytes(b"b" * 10)
    (state / "c").write_bytes(b"x" * 1000)
    assert verify(tmp_path)[1] == (
        "state/a is missing",
        "state/b: expected 1,000 bytes, found 10",
        "state/c differs from what was written",
    )


def test_another_format_is_an_error_and_not_damage(tmp_path: Path) -> None:
    assert verify(tmp_path) == (None, ("checkpoint.json is missing",))
    write_sealed(tmp_path / "checkpoint.json", {"format": 1})
    with pytest.raises(FormatError, match="use the version that wrote it"):
        verify(tmp_path)
    write_sealed(tmp_path / "checkpoint.json", {"format": 2})
    assert verify(tmp_path) == (None, ("checkpoint.json differs from what was written",))
