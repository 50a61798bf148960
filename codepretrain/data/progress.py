"""The progress display of `prepare`: stages at work are bars, a finished one becomes a line.

So the bars fit a terminal however many sources there are. A log file has no bars: it has a line
when a stage is finished, and one each minute while it is at work.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta

from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)
from rich.table import Column

from codepretrain.progress_pipe import PROGRESS

_LINE_INTERVAL_S = 60.0  # in a log file


def progress_display(console: Console) -> Progress:
    """Returns a display in bytes, with a line per task; it leaves no bars behind."""
    whole = [Column(no_wrap=True) for _ in range(4)]
    return Progress(
        TextColumn("{task.description}", table_column=whole[0]),
        BarColumn(),
        DownloadColumn(table_column=whole[1]),
        TransferSpeedColumn(table_column=whole[2]),
        TimeElapsedColumn(table_column=whole[3]),
        console=console,
        disable=not console.is_terminal,
    )


@contextmanager
def progress_line(
    progress: Progress,
    description: str,
    num_bytes: int | None,
    *,
    interval_s: float = _LINE_INTERVAL_S,
) -> Iterator[Callable[[int], None]]:
    """Adds a bar; yields the function that advances it by a number of bytes.

    When the stage is finished, its bytes and time are printed instead of the bar.

    Args:
      num_bytes: of the whole stage, None if that is not known.
      interval_s: seconds between the lines of a log file. They do not wait for `advance`: a part
        may take minutes.
    """
    number = progress.add_task(description, total=num_bytes)

    def advance(num_done: int) -> None:
        progress.advance(number, num_done)
        PROGRESS.count()

    def show(word: str) -> None:
        task = next(task for task in progress.tasks if task.id == number)
        size = decimal(int(task.completed))
        if word == "after" and num_bytes is not None:
            size += f" of {decimal(num_bytes)}"
        seconds = timedelta(seconds=round(task.elapsed or 0))
        line = f"{description}: {size} {word} {seconds}"
        progress.console.print(line, markup=False, highlight=False, soft_wrap=True)

    with (
        nullcontext() if progress.console.is_terminal else _each(interval_s, lambda: show("after"))
    ):
        yield advance
    show("in")
    progress.remove_task(number)


@contextmanager
def _each(interval_s: float, call: Callable[[], None]) -> Iterator[None]:
    """Calls a function again and again, in a thread, while the block is at work."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(interval_s):
            call()

    thread = threading.Thread(target=run, name="progress lines", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
