"""Reports to a supervisor: what is written, when, and that nothing ever blocks."""

import json
import os
import threading
from collections.abc import Iterator

import pytest

from codepretrain import progress_pipe
from codepretrain.progress_pipe import ProgressPipe


class Reader:
    """The supervisor's end."""

    def __init__(self) -> None:
        self.read, self.write = os.pipe()
        os.set_blocking(self.read, False)

    def lines(self) -> list[dict]:
        try:
            content = os.read(self.read, 1 << 20)
        except BlockingIOError:
            return []
        return [json.loads(line) for line in content.splitlines()]


@pytest.fixture
def reader() -> Iterator[Reader]:
    reader = Reader()
    yield reader
    os.close(reader.read)
    os.close(reader.write)


@pytest.fixture
def pipe(reader: Reader) -> ProgressPipe:
    pipe = ProgressPipe()
    pipe.connect(reader.write)
    assert reader.lines() == [{"activity": "init"}]
    return pipe


def test_only_what_changed_is_written_and_not_at_every_step(
    pipe: ProgressPipe, reader: Reader
) -> None:
    for step in range(1, 1001):
        for kind in ("wait_for_data", "train", "program"):
            pipe.set_activity(kind)
        pipe.count()
        pipe.finish_step(step)
    assert reader.lines() == []
    pipe._flush()
    assert reader.lines() == [{"activity": "program", "counter": 1000, "step": 1000}]
    pipe._flush()
    assert reader.lines() == []
    pipe.set_activity("evaluate")
    pipe.set_activity("program")
    pipe._flush()
    assert reader.lines() == []


def test_a_thread_writes_what_lasts(
    monkeypatch: pytest.MonkeyPatch, pipe: ProgressPipe, reader: Reader
) -> None:
    monkeypatch.setattr(progress_pipe, "PERIOD_S", 0.01)
    pipe.start()
    pipe.resume("trunk", 3)
    pipe.finish_step(4)
    pipe.set_activity("save")
    pipe.note({"loss": 2.5})
    pipe.count()
    found: dict = {}
    while not found.keys() >= {"step_s", "facts", "counter"}:
        for line in reader.lines():
            found |= line
    pipe.end(code=0, cause="done", is_cascade=False, message="")
    assert found.pop("step_s") >= 0
    assert found == {
        "phase": "trunk",
        "resumed_step": 3,
        "step": 4,
        "activity": "save",
        "facts": {"loss": 2.5},
        "counter": 1,
    }


def test_where_it_resumes_and_what_is_saved_is_written_at_once_and_every_time(
    pipe: ProgressPipe, reader: Reader
) -> None:
    pipe.resume("trunk", 20)
    assert reader.lines() == [{"phase": "trunk", "resumed_step": 20, "step": 20}]
    pipe.resume("trunk", 20)
    assert reader.lines() == [{"phase": "trunk", "resumed_step": 20, "step": 20}]
    pipe.save(40, 1.25)
    pipe.save(40, None)
    first, second = reader.lines()
    assert first == {"saved_step": 40, "save_s": 1.25}
    assert second["saved_step"] == 40


def test_other_threads_do_not_count(pipe: ProgressPipe, reader: Reader) -> None:
    thread = threading.Thread(target=pipe.count)
    thread.start()
    thread.join()
    pipe._flush()
    assert reader.lines() == []


def test_a_full_pipe_refuses_and_gets_the_rest_later(pipe: ProgressPipe, reader: Reader) -> None:
    for step in range(20_000):  # of 32 bytes or so each: more than the 64 KiB of a pipe
        pipe.resume("trunk", step)
    lines = reader.lines()
    assert 500 < len(lines) < 5000
    assert [line["resumed_step"] for line in lines] == list(range(len(lines)))
    pipe._flush()
    [line] = reader.lines()
    assert line["resumed_step"] == 19_999


def test_nobody_reads(reader: Reader) -> None:
    other = Reader()
    pipe = ProgressPipe()
    pipe.connect(other.write)
    os.close(other.read)
    pipe.resume("trunk", 1)
    pipe.end(code=1, cause="crash", is_cascade=False, message="x")
    os.close(other.write)


def test_without_a_pipe_nothing_happens() -> None:
    pipe = ProgressPipe()
    num_threads = threading.active_count()
    pipe.start()
    pipe.resume("trunk", 1)
    pipe.save(1, 1.0)
    pipe.end(code=0, cause="done", is_cascade=False, message="")
    assert threading.active_count() == num_threads
    assert not pipe.is_connected


@pytest.mark.parametrize("letter", ["x", "é", "\U0001f600", "\0"])
def test_an_end_fits_a_line_and_the_first_one_counts(
    pipe: ProgressPipe, reader: Reader, letter: str
) -> None:
    pipe.end(code=2, cause="damage", is_cascade=False, message=letter * 100_000)
    pipe.end(code=0, cause="done", is_cascade=False, message="")
    [line] = reader.lines()
    end = line["end"]
    assert (end["code"], end["cause"], end["is_cascade"]) == (2, "damage", False)
    assert end["message"].startswith(letter * 100)
    assert len(json.dumps(line)) < 4096


def test_the_time_of_a_step_does_not_include_the_compilation(
    monkeypatch: pytest.MonkeyPatch, pipe: ProgressPipe
) -> None:
    """The first step after a resume compiles; it counts until there is a second one."""
    now_s = 0.0
    monkeypatch.setattr(progress_pipe.time, "perf_counter", lambda: now_s)
    for phase in ("trunk", "cooldown"):
        pipe.resume(phase, 100)
        now_s += 600.0
        pipe.finish_step(101)
        assert pipe.step_s() == 600.0
        now_s += 2.0
        pipe.finish_step(102)
        assert pipe.step_s() == 2.0
        now_s += 8.0
        pipe.finish_step(104)
        assert pipe.step_s() == 3.0
