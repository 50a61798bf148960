import io
import threading

from rich.console import Console

from codepretrain.data.progress import progress_display, progress_line


def test_a_bar_advances_in_bytes_and_becomes_a_line() -> None:
    printed = io.StringIO()
    with progress_display(Console(file=printed, width=120)) as progress:
        with progress_line(progress, "reading text", None) as advance:
            advance(1000)
            advance(500)
            assert progress.tasks[0].completed == 1500
        assert printed.getvalue() == "reading text: 1.5 kB in 0:00:00\n"
        assert progress.tasks == []


def test_bars_of_stages_at_work_fit_a_terminal_with_many_sources() -> None:
    printed = io.StringIO()
    console = Console(file=printed, width=80, height=24, force_terminal=True)
    with progress_display(console) as progress:
        for number in range(40):
            with progress_line(progress, f"reading s{number}", 3_000_000) as advance:
                advance(2_999_000)
                printed.truncate(printed.seek(0))
                progress.refresh()
                assert f"reading s{number}" in printed.getvalue()
                assert "MB" in printed.getvalue()


def test_a_stage_that_fails_leaves_neither_a_line_nor_a_bar_in_a_log_file() -> None:
    printed = io.StringIO()
    try:
        with (
            progress_display(Console(file=printed, width=120)) as progress,
            progress_line(progress, "reading text", 10),
        ):
            raise ValueError
    except ValueError:
        pass
    assert printed.getvalue() == ""


class Log(io.StringIO):
    """A log file; knows when a line with "after" was written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.has_line = threading.Event()

    def write(self, text: str) -> int:
        if "after" in text:
            self.has_line.set()
        return super().write(text)


def test_a_log_file_has_lines_while_a_part_is_at_work() -> None:
    """A part of a large file takes minutes, in which nothing advances."""
    log = Log()
    with (
        progress_display(Console(file=log, width=40)) as progress,
        progress_line(progress, "selecting", 3000, interval_s=0.001) as advance,
    ):
        advance(1000)
        assert log.has_line.wait(60)
    lines = log.getvalue().splitlines()
    assert lines[0] == "selecting: 1.0 kB of 3.0 kB after 0:00:00"
    assert lines[-1] == "selecting: 1.0 kB in 0:00:00"
