"""The thread in which a supervisor conducts when nobody else does."""

import threading
from pathlib import Path
from typing import Any

import pytest

from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.files.hold_errors import InUseError, LeaseLostError
from codepretrain.launch import conducting
from codepretrain.launch.conducting import Conducting
from codepretrain.launch.job_folder import job_folder
from tests.launch.supervised import wait_for


def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *outcomes: Any) -> list[str]:
    """Runs a thread whose terms end as given, and returns its notes."""
    notes: list[str] = []
    left = list(outcomes)

    def conduct(*_: Any, **__: Any) -> None:
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome

    monkeypatch.setattr(conducting, "conduct", conduct)
    monkeypatch.setattr(conducting, "_FAILED_S", 0.01)
    folder = job_folder(storage.parse(tmp_path), "job")
    thread = Conducting(folder, host=0, period_s=0.01, note=notes.append)
    wait_for(lambda: not left)
    thread.leave(30)
    return notes


def test_it_tries_until_the_job_is_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    notes = run(
        monkeypatch,
        tmp_path,
        InUseError("another one conducts"),
        UserError("events/x.jsonl is damaged"),
        LeaseLostError("a conductor of term 4 has taken over"),
        ZeroDivisionError("a defect"),
        None,
    )
    assert notes[0] == "cannot conduct: events/x.jsonl is damaged"
    assert notes[1] == "conducts no more: a conductor of term 4 has taken over"
    assert "ZeroDivisionError: a defect" in notes[2]
    assert len(notes) == 3


def test_it_leaves_when_it_is_told_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    began, waits = threading.Event(), []

    def conduct(folder: Any, *, wait: Any, host: int, period_s: float) -> None:
        began.set()
        waits.append(wait(60))

    monkeypatch.setattr(conducting, "conduct", conduct)
    folder = job_folder(storage.parse(tmp_path), "job")
    thread = Conducting(folder, host=0, period_s=0.01, note=print)
    assert began.wait(30)
    thread.leave(30)
    assert waits == [True]
