import io

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


def test_a_stage_that_fails_is_not_reported_as_finished() -> None:
    printed = io.StringIO()
    try:
        with (
            progress_display(Console(file=printed, width=120)) as progress,
            progress_line(progress, "reading text", 10),
        ):
            raise ValueError
    except ValueError:
        pass
    assert " in 0:00" not in printed.getvalue()
