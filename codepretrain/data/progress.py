"""The progress display of `prepare`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)


def progress_display(console: Console) -> Progress:
    """Returns a display in bytes, with a line per task."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeElapsedColumn(),
        console=console,
    )


@contextmanager
def progress_line(
    progress: Progress, description: str, num_bytes: int | None
) -> Iterator[Callable[[int], None]]:
    """Adds a line; yields the function that advances it by a number of bytes."""
    task = progress.add_task(description, total=num_bytes)
    yield lambda advance: progress.advance(task, advance)
    progress.update(task, total=progress.tasks[task].completed)
