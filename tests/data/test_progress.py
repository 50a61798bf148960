import io

from rich.console import Console

from codepretrain.data.progress import progress_display, progress_line


def test_a_line_advances_in_bytes_and_ends_full() -> None:
    printed = io.StringIO()
    console = Console(file=printed, width=120)
    with progress_display(console) as progress:
        with progress_line(progress, "reading text", None) as advance:
            advance(1000)
            advance(500)
            assert progress.tasks[0].completed == 1500
        assert progress.tasks[0].finished
    assert "reading text" in printed.getvalue()
    assert "1.5/1.5 kB" in printed.getvalue()
