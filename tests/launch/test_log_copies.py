"""Output that is copied into an object store."""

import threading
from pathlib import Path

import pytest
from etils import epath

from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.launch import log_copies
from codepretrain.launch.log_copies import LogCopies
from tests.launch.supervised import wait_for


def text_of(path: epath.Path) -> str:
    return storage.read_text(path) if storage.is_file(path) else ""


def test_a_file_is_copied_again_when_it_has_grown(memory: epath.Path, tmp_path: Path) -> None:
    copies = LogCopies(note=print, period_s=0.02)
    local = tmp_path / "0.log"
    copies.add(local, memory / "0.log")
    for text in ("one\n", "one\ntwo\n"):
        local.write_text(text)
        wait_for(lambda text=text: text_of(memory / "0.log") == text)  # type: ignore[misc]
    copies.close(30)


def test_the_last_lines_are_copied_at_the_end(memory: epath.Path, tmp_path: Path) -> None:
    copies = LogCopies(note=print, period_s=1000)
    local = tmp_path / "0.log"
    copies.add(local, memory / "0.log")
    local.write_text("last\n")
    copies.close(30)
    assert text_of(memory / "0.log") == "last\n"


def test_what_is_written_during_a_copy_is_copied_when_closed_during_it(
    memory: epath.Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_end = threading.Event(), threading.Event()
    write = log_copies.write_bytes

    def slow(path: epath.Path, content: bytes) -> None:
        begun.set()
        assert may_end.wait(30)
        write(path, content)

    monkeypatch.setattr(log_copies, "write_bytes", slow)
    copies = LogCopies(note=print, period_s=1000)
    local = tmp_path / "0.log"
    local.write_text("first\n")
    copies.add(local, memory / "0.log")
    copies.finish()
    assert begun.wait(30)
    local.write_text("first\nlast\n")
    copies.close(0)
    may_end.set()
    copies.close(30)
    assert text_of(memory / "0.log") == "first\nlast\n"


def test_a_store_that_fails_is_tried_again(
    memory: epath.Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[str] = []
    fails = [True]
    write = log_copies.write_bytes

    def sometimes(path: epath.Path, content: bytes) -> None:
        if fails:
            raise UserError("cannot write 0.log: no answer")
        write(path, content)

    monkeypatch.setattr(log_copies, "write_bytes", sometimes)
    copies = LogCopies(note=notes.append, period_s=0.02)
    (tmp_path / "0.log").write_text("text")
    copies.add(tmp_path / "0.log", memory / "0.log")
    wait_for(lambda: notes)
    threading.Event().wait(0.2)
    fails.clear()
    wait_for(lambda: text_of(memory / "0.log") == "text")
    wait_for(lambda: len(notes) == 2)
    assert notes == ["cannot write 0.log: no answer; tries again", "logs are copied again"]
    copies.close(30)
