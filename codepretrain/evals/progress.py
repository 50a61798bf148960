"""The progress of an evaluation: a bar on a terminal, occasional lines in a log file."""

import time
from collections.abc import Callable
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar

from codepretrain.progress_pipe import PROGRESS

_LINE_INTERVAL_S = 15.0


class Progress(Protocol):
    """Called as an evaluation advances: `done` of `total` `what` ("rows", "programs")."""

    def __call__(self, done: int, total: int, what: str, /) -> None: ...


def no_progress(done: int, total: int, what: str, /) -> None:
    """Reports nothing."""


class EvaluationProgress:
    """Shows the items done, their total and the time left; nothing if `console` is None.

    The bar disappears when the evaluation is done. A log file gets a line every 15 seconds, so
    short evaluations leave no line.
    """

    def __init__(
        self,
        console: Console | None,
        name: str,
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._console = console
        self._name = name
        self._clock = clock
        self._what = ""
        self._started = self._last_line = clock()
        self._bar: ProgressBar | None = None

    def __enter__(self) -> Self:
        if self._console is not None and self._console.is_terminal:
            self._bar = ProgressBar(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                TextColumn("{task.completed:,}/{task.total:,} {task.fields[what]}"),
                TimeRemainingColumn(compact=True),
                console=self._console,
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(self._name, total=0, what="")
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, done: int, total: int, what: str, /) -> None:
        """Shows that `done` of `total` `what` are done; another `what` restarts the estimate."""
        PROGRESS.count()
        if self._console is None:
            return
        if what != self._what:
            self._what, self._started = what, self._clock()
            if self._bar is not None:
                self._bar.reset(self._task, total=total)
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total, what=what, refresh=True)
            return
        now = self._clock()
        if now - self._last_line < _LINE_INTERVAL_S:
            return
        self._last_line = now
        line = f"{self._name}  {done:,}/{total:,} {what}"
        if done:
            left = (now - self._started) / done * (total - done)
            line += f"  {left:,.0f} s left"
        self._console.print(line, soft_wrap=True)
