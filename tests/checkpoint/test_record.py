"""The record that commits a checkpoint, and the files that each process hashes."""

import subprocess
import sys
from pathlib import Path

import pytest
from etils import epath

from codepretrain.checkpoint import record
from codepretrain.checkpoint.record import FormatError, Record
from codepretrain.errors import UserError
from codepretrain.files.hashing import sha256_bytes
from codepretrain.files.sealed import write_sealed


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def of_step(step: int) -> Record:
    return Record(
        step=step, permanent=False, ledger={"x": 0.1}, identity=[1], files={"a": (1, "b")}
    )


def test_unfinished_committed_damaged(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        record.begin(epath.Path(tmp_path / str(step)))
    assert record.steps_in(tmp_path) == {1: True, 2: True, 3: True}
    record.write_record(tmp_path / "2", of_step(2))
    assert record.read_record(tmp_path / "2") == of_step(2)
    assert not (tmp_path / "2" / "unfinished").exists()
    (tmp_path / "3" / "unfinished").unlink()  # neither marked nor recorded: something took it
    (tmp_path / "notes").mkdir()
    assert record.steps_in(tmp_path) == {1: True, 2: False, 3: False}
    record.mark_permanent(tmp_path / "2")
    assert record.read_record(tmp_path / "2").permanent
    record.remove(tmp_path / "2")
    assert record.steps_in(tmp_path) == {1: True, 3: False}
    assert record.steps_in(tmp_path / "none") == {}


@pytest.mark.parametrize("call", ["begin", "remove"])
def test_a_kill_while_the_mark_is_written(tmp_path: Path, call: str) -> None:
    """The rest of a temporary file makes no damaged checkpoint of an unfinished one."""
    script = (
        "import os, sys; from etils import epath; from codepretrain.checkpoint import record\n"
        "os.replace = lambda *_: os._exit(9)\n"
        f"record.{call}(epath.Path(sys.argv[1]))\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, tmp_path / "7"], check=False)
    assert killed.returncode == 9
    assert len(list((tmp_path / "7").iterdir())) == 1
    assert record.steps_in(tmp_path) == {7: True}


def test_a_record_of_another_format(tmp_path: Path) -> None:
    write_sealed(tmp_path / "checkpoint.json", {"format": 99})
    with pytest.raises(FormatError, match="has format 99; this version reads 2"):
        record.read_record(tmp_path)


def test_who_hashes_what(tmp_path: Path) -> None:
    state = tmp_path / "state"
    write(state / "ocdbt.process_0" / "d" / "aa", b"0")
    write(state / "ocdbt.process_1" / "d" / "bb", b"11")
    write(state / "ocdbt.process_10" / "d" / "cc", b"222")
    write(state / "array_metadatas" / "process_1", b"m")
    ones = record.hash_own_files(tmp_path, 1)
    assert ones == {
        "state/ocdbt.process_1/d/bb": (2, sha256_bytes(b"11")),
        "state/array_metadatas/process_1": (1, sha256_bytes(b"m")),
    }
    known = ones | record.hash_own_files(tmp_path, 0) | record.hash_own_files(tmp_path, 10)
    write(state / "manifest.ocdbt", b"index")
    whole = record.hash_rest(tmp_path, known)
    assert whole.keys() - known.keys() == {"state/manifest.ocdbt"}
    assert {name: size for name, (size, _) in whole.items()} == {
        "state/ocdbt.process_0/d/aa": 1,
        "state/ocdbt.process_1/d/bb": 2,
        "state/ocdbt.process_10/d/cc": 3,
        "state/array_metadatas/process_1": 1,
        "state/manifest.ocdbt": 5,
    }


def test_a_file_that_process_0_does_not_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "_STALE_S", 0.0)
    monkeypatch.setattr(record.time, "sleep", lambda _: None)
    write(tmp_path / "state" / "manifest.ocdbt", b"index")
    with pytest.raises(UserError, match=r"process 0 sees no bytes of state/x, .* wrote it 7"):
        record.hash_rest(tmp_path, {"state/x": (7, "…")})
