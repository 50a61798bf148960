"""What a supervisor understands of a worker's reports."""

import json
import os
from collections.abc import Iterator

import pytest

from codepretrain.launch.records import End, WorkerReport
from codepretrain.launch.report_reader import ReportReader


class Pipe:
    """A pipe with a reader, and a clock that stands still unless it is told."""

    def __init__(self) -> None:
        self.now_s = 100.0
        reading, self.writing = os.pipe()
        self.reader = ReportReader(reading, now_s=lambda: self.now_s)

    def send(self, *lines: object) -> None:
        for line in lines:
            text = line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n"
            os.write(self.writing, text)
        self.reader.read()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.reader.close()
    os.close(pipe.writing)


def test_there_is_no_report_before_the_first_line(pipe: Pipe) -> None:
    pipe.reader.read()
    assert pipe.reader.report is None
    assert pipe.reader.end is None


def test_lines_hold_what_changed(pipe: Pipe) -> None:
    pipe.send({"activity": "init"}, {"phase": "trunk", "resumed_step": 5, "step": 5})
    pipe.send({"activity": "train", "step": 9, "counter": 4, "step_s": 0.5})
    pipe.send({"saved_step": 8, "save_s": 2}, {"facts": {"loss": 2.5}}, {"facts": {"mfu": 0.4}})
    assert pipe.reader.report == WorkerReport(
        activity="train",
        step=9,
        counter=4,
        resumed_step=5,
        saved_step=8,
        save_s=2.0,
        step_s=0.5,
        facts={"phase": "trunk", "loss": 2.5, "mfu": 0.4},
    )


@pytest.mark.parametrize("move", [{"activity": "save"}, {"step": 2}, {"counter": 2}])
def test_idle_seconds_count_from_the_last_move(pipe: Pipe, move: dict) -> None:
    pipe.send({"activity": "train", "step": 1, "counter": 1})
    pipe.now_s += 7
    pipe.send({"facts": {"loss": 1.0}}, {"step": 1})  # no move
    assert pipe.reader.report is not None
    assert pipe.reader.report.idle_s == 7.0
    pipe.send(move)
    pipe.now_s += 2
    assert pipe.reader.report.idle_s == 2.0


def test_another_phase_starts_without_the_numbers_of_the_last_one(pipe: Pipe) -> None:
    pipe.send({"phase": "trunk", "resumed_step": 5, "saved_step": 90, "step": 90})
    pipe.send({"facts": {"loss": 2.5}})
    pipe.send({"phase": "branch", "resumed_step": 0, "step": 0})
    report = pipe.reader.report
    assert report is not None
    assert (report.resumed_step, report.saved_step, report.step) == (0, None, 0)
    assert report.facts == {"phase": "branch"}


def test_a_line_may_come_in_pieces(pipe: Pipe) -> None:
    pipe.send(b'{"activity": "tra')
    assert pipe.reader.report is None
    pipe.send(b'in"}\n{"step": 3}\n{"st')
    assert pipe.reader.step == 3


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"[1]\n",
        b"\xff\xfe\n",
        b"null\n",
        b'{"activity": 3}\n',
        b'{"step": 1.5}\n',
        b'{"counter": true}\n',
        b'{"save_s": "long"}\n',
        b'{"facts": [1]}\n',
        b'{"end": {"code": 1, "cause": "no such cause"}}\n',
        b'{"end": {"cause": "crash"}}\n',
        b'{"end": 3}\n',
        b"[" * 100_000 + b"\n",
    ],
)
def test_a_line_that_means_nothing_is_skipped(pipe: Pipe, line: bytes) -> None:
    pipe.send({"activity": "train", "step": 1})
    os.set_blocking(pipe.writing, False)
    for start in range(0, len(line), 32_768):
        pipe.send(line[start : start + 32_768])
    pipe.send({"step": 2})
    report = pipe.reader.report
    assert report is not None
    assert (report.activity, report.step) == ("train", 2)
    assert pipe.reader.num_bad_lines == 1
    assert pipe.reader.end is None


def test_unknown_fields_are_ignored(pipe: Pipe) -> None:
    pipe.send({"activity": "train", "of a later version": [1]})
    assert pipe.reader.num_bad_lines == 0
    assert pipe.reader.report == WorkerReport(activity="train")


def test_how_the_worker_says_that_it_ends(pipe: Pipe) -> None:
    pipe.send(
        {"end": {"code": 2, "cause": "divergence", "is_cascade": False, "message": "loss is nan"}}
    )
    assert pipe.reader.end == End(code=2, cause="divergence", message="loss is nan")


def test_the_pipe_of_a_worker_that_has_ended_is_closed(pipe: Pipe) -> None:
    os.write(pipe.writing, b'{"step": 4}\n{"step": 5')
    os.close(pipe.writing)
    pipe.reader.read()
    assert not pipe.reader.is_open
    assert pipe.reader.step == 4
    pipe.writing = os.open(os.devnull, os.O_WRONLY)
