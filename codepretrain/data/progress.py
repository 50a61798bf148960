"""The progress display of `prepare`: stages at work are bars, a finished one becomes a line.

So the bars fit a terminal however many sources there are, and a log file, which has no bars, has a
line as soon as a stage is finished.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    )


@contextmanager
def progress_line(
    progress: Progress, description: str, num_bytes: int | None
) -> Iterator[Callable[[int], None]]:
    """Adds a bar; yields the function that advances it by a number of bytes.

    When the stage is finished, its bytes and time are printed instead of the bar.
    """
    number = progress.add_task(description, total=num_bytes)

    def advance(num_done: int) -> None:
        progress.advance(number, num_done)
        PROGRESS.count()

    yield advance
    task = next(task for task in progress.tasks if task.id == number)
    seconds = timedelta(seconds=round(task.elapsed or 0))
    progress.remove_task(number)
    progress.console.print(
        f"{description}: {decimal(int(task.completed))} in {seconds}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
